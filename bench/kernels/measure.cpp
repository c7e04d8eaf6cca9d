#include "measure.h"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>

#include "base/error.h"
#include "base/process.h"
#include "machine_limit.h"
#include "other_programs.h"

namespace lowrank {
namespace {

/// Calls are timed together until they take so long: the clock and a late thread must not matter.
constexpr double seconds_per_turn = 3e-3;
constexpr double seconds_per_case = 0.4, most_seconds_per_case = 4;
constexpr size_t least_rounds = 5, most_rounds = 41;
/// What others may take of a core; the system counts in hundredths of a second.
constexpr double quiet_cores = 0.15;
/// Of the norm of the results; bf16 has 8 bits.
constexpr double tolerance = 0.03;

double seconds_of(const std::function<void()>& run, int64_t calls) {
  const double start = monotonic_seconds();
  for (int64_t i = 0; i < calls; ++i) run();
  return (monotonic_seconds() - start) / static_cast<double>(calls);
}

/// Calls that fill a turn.
int64_t calls_of(const std::function<void()>& run) {
  const double once = std::min(seconds_of(run, 1), seconds_of(run, 1));
  return std::clamp<int64_t>(static_cast<int64_t>(seconds_per_turn / once), 1, 2000);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

void check_same(const std::string& name, const Contenders& contenders) {
  const auto ours = contenders.ours(), theirs = contenders.reference();
  if (!contenders.comparable) return;
  check(ours.size() == theirs.size(), ErrorKind::invalid, "{}: {} results, and {} of the reference", name,
        ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    const at::Tensor right = theirs[i].detach().to(at::kDouble);
    const at::Tensor gap = ours[i].detach().to(at::kDouble) - right;
    const auto far = gap.norm().item<double>(), whole = right.norm().item<double>();
    check(far <= tolerance * whole, ErrorKind::invalid,
          "{}: result {} is {:.2g} from the reference's, whose norm is {:.2g}", name, i, far, whole);
  }
}

}  // namespace

Measurement measure(const KernelCase& kernel) {
  const Contenders contenders = kernel.prepare();
  check_same(kernel.name, contenders);
  const std::function<void()> turns[] = {[&] { contenders.ours(); }, [&] { contenders.reference(); },
                                         at_limit(kernel.work)};
  int64_t calls[std::size(turns)];
  for (size_t i = 0; i < std::size(turns); ++i) calls[i] = calls_of(turns[i]);
  std::vector<double> seconds[std::size(turns)], ratios, shares;
  const OtherPrograms others;
  const double start = monotonic_seconds();
  for (double passed = 0; ratios.size() < (passed < seconds_per_case ? most_rounds : least_rounds) &&
                          passed < most_seconds_per_case;
       passed = monotonic_seconds() - start) {
    for (size_t i = 0; i < std::size(turns); ++i) seconds[i].push_back(seconds_of(turns[i], calls[i]));
    ratios.push_back(seconds[1].back() / seconds[0].back());
    shares.push_back(seconds[2].back() / seconds[0].back());
  }
  return {kernel.name,        kernel.work,    median(seconds[0]), median(seconds[1]),
          median(seconds[2]), median(ratios), median(shares),     others.cores() > quiet_cores};
}

}  // namespace lowrank
