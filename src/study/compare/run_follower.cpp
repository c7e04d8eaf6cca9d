#include "study/compare/run_follower.h"

#include <algorithm>

#include "train/evaluate.h"

namespace lowrank {
namespace {

/// More points than this are not told apart on a chart.
constexpr size_t most_points = 200;

/// Means over stretches of equal numbers of points.
std::vector<CurvePoint> thinned(const std::vector<CurvePoint>& points) {
  const size_t stretch = (points.size() + most_points - 1) / most_points;
  if (stretch <= 1) return points;
  std::vector<CurvePoint> means;
  for (size_t begin = 0; begin < points.size(); begin += stretch) {
    const size_t end = std::min(points.size(), begin + stretch);
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += points[i].value;
    means.push_back({points[end - 1].step, sum / static_cast<double>(end - begin)});
  }
  return means;
}

}  // namespace

void RunFollower::step(const StepResult& step, int64_t total) {
  curve_.push_back({step.step, step.loss});
  record_.steps = step.step;
  record_.seconds += step.seconds;
  record_.tokens += step.tokens;
  if (options_.eval_every > 0 && step.step % options_.eval_every == 0 && step.step < total)
    record_.evaluations.push_back(
        {step.step, evaluate(model_, InferenceHooks(adapter_), rows_, options_.rows_per_batch()).loss});
}

void RunFollower::end(double loss) {
  record_.loss = loss;
  record_.evaluations.insert(record_.evaluations.begin(), {0, *record_.loss_before});
  record_.evaluations.push_back({record_.steps, loss});
}

void RunFollower::keep_curve() {
  record_.curve = thinned(curve_);
}

}  // namespace lowrank
