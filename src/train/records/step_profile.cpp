#include "train/records/step_profile.h"

#include <algorithm>
#include <functional>
#include <map>

#include <fmt/format.h>

namespace lowrank {
namespace {

constexpr double least_share = 1e-3;

/// The name; for autograd nodes, without namespaces.
std::string short_name(const std::string& name) {
  const size_t colon = name.rfind("::");
  return name.ends_with("Backward") && colon != std::string::npos ? name.substr(colon + 2) : name;
}

}  // namespace

std::vector<std::string> StepProfile::table() const {
  if (steps_ == 0) return {};
  // The engine reports a node twice: its evaluation, and its own work within it.
  std::map<std::string, OpTime> by_name;
  for (const auto& [name, time] : profile_.times()) {
    OpTime& sum = by_name[short_name(name)];
    sum.calls = std::max(sum.calls, time.calls);
    sum.seconds += time.seconds;
    sum.flops += time.flops;
  }
  std::vector<std::pair<std::string, OpTime>> ops(by_name.begin(), by_name.end());
  std::ranges::sort(ops, std::greater(), [](const auto& op) { return op.second.seconds; });
  const auto count = static_cast<double>(steps_);
  std::vector<std::string> lines{fmt::format("{:<40} {:>10} {:>10} {:>7} {:>9}", "operation", "calls/step",
                                             "ms/step", "share", "GFLOP/s")};
  double known = 0;
  for (const auto& [name, time] : ops) {
    known += time.seconds;
    if (time.seconds < least_share * seconds_) continue;
    lines.push_back(fmt::format(
        "{:<40} {:>10.1f} {:>10.2f} {:>6.1f}% {:>9}", name, static_cast<double>(time.calls) / count,
        1e3 * time.seconds / count, 100 * time.seconds / seconds_,
        time.flops > 0 ? fmt::format("{:.1f}", 1e-9 * time.flops / time.seconds) : ""));
  }
  lines.push_back(fmt::format("{:<40} {:>10} {:>10.2f} {:>6.1f}%", "outside operations", "",
                              1e3 * (seconds_ - known) / count, 100 * (seconds_ - known) / seconds_));
  return lines;
}

}  // namespace lowrank
