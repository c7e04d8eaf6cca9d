#include "study/compare/comparison_progress.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/process.h"

namespace lowrank {

void ComparisonProgress::begin(const std::string& what, double share) {
  what_ = what;
  share_ = share;
  loss_ = Smoothed(0.9);
}

void ComparisonProgress::step(const StepResult& step, int64_t total) {
  if (!line_) line_.emplace(what_ + ": step", total);
  const double done = static_cast<double>(step.step) / static_cast<double>(total);
  line_->update(step.step, {loss_.add(step.loss), static_cast<double>(step.tokens) / step.seconds,
                            resident_bytes(), seconds_left(done)});
}

void ComparisonProgress::end(const std::string& result) {
  line_.reset();
  done_ += share_;
  const std::optional<double> left = seconds_left(0);
  const bool more = work_ - done_ > 1e-6;
  info("{}: {}{}", what_, result, more && left ? fmt::format("; about {} left", clock_text(*left)) : "");
}

std::optional<double> ComparisonProgress::seconds_left(double share_done) const {
  const double done = done_ + share_done * share_;
  if (done <= 0) return std::nullopt;
  return (monotonic_seconds() - started_) * (work_ - done) / done;
}

}  // namespace lowrank
