#include "results.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "base/json.h"
#include "machine_limit.h"

namespace lowrank {
namespace {

/// What is left of a figure that got worse by a fifth.
constexpr double least_left = 1 / 1.2;
constexpr int64_t max_results_bytes = 1 << 20;

double rounded(double value, double unit) {
  return std::round(value * unit) / unit;
}

/// "12.3 GB/s" or "345 GFLOP/s".
std::string rate(const Measurement& measurement, double seconds) {
  return fmt::format("{:.0f} {}", measurement.work.amount / seconds * 1e-9,
                     measurement.work.resource == Resource::memory ? "GB/s" : "GFLOP/s");
}

}  // namespace

std::string table_heading() {
  return fmt::format("{:<44} {:>10} {:>12} {:>7} {:>6}  {}", "kernel", "ours us", "reference us", "ratio",
                     "share", "ours, and the limit");
}

std::string table_line(const Measurement& m) {
  return fmt::format("{:<44} {:>10.1f} {:>12.1f} {:>7.2f} {:>6.2f}  {} of {}{}", m.name, m.ours * 1e6,
                     m.reference * 1e6, m.ratio, m.share, rate(m, m.ours), rate(m, m.limit),
                     m.disturbed ? ", disturbed" : "");
}

nlohmann::json to_json(std::span<const Measurement> measurements) {
  nlohmann::json kernels = nlohmann::json::object();
  for (const Measurement& m : measurements) {
    nlohmann::json& kernel = kernels[m.name];
    kernel = {{"ratio", rounded(m.ratio, 1e4)},
              {"share", rounded(m.share, 1e4)},
              {"microseconds", rounded(m.ours * 1e6, 10)},
              {"reference_microseconds", rounded(m.reference * 1e6, 10)}};
    if (m.disturbed) kernel["disturbed"] = true;
  }
  return {{"machine", machine_description()}, {"kernels", kernels}};
}

EarlierResults::EarlierResults(const std::string& path) {
  const nlohmann::json all = read_json_file(path, max_results_bytes);
  bool whole = all.is_object() && all.contains("machine") && all["machine"].is_string() &&
               all.contains("kernels") && all["kernels"].is_object();
  if (whole) {
    for (const auto& kernel : all["kernels"]) {
      for (const char* key : {"ratio", "share"})
        whole = whole && kernel.is_object() && kernel.contains(key) && kernel[key].is_number();
    }
  }
  check(whole, ErrorKind::corrupt, "{}: these are not results of kernel_bench", path);
  machine_ = all["machine"].get<std::string>();
  kernels_ = all["kernels"];
}

bool EarlierResults::has(const std::string& name) const {
  return kernels_.contains(name) && !kernels_[name].value("disturbed", false);
}

std::string EarlierResults::worse(const Measurement& now) const {
  if (!has(now.name)) return {};
  const nlohmann::json& before = kernels_[now.name];
  std::string found;
  const auto hold = [&](const char* what, double value, double earlier) {
    if (value >= earlier * least_left) return;
    found += fmt::format("{}{} {:.2f}, {:.2f} before", found.empty() ? "" : "; ", what, value, earlier);
  };
  hold("ratio to its reference", now.ratio, before["ratio"].get<double>());
  hold("share of the limit", now.share, before["share"].get<double>());
  return found.empty() ? found : now.name + ": " + found;
}

nlohmann::json EarlierResults::lower_of_both(nlohmann::json now) const {
  check(machine_ == now["machine"], ErrorKind::invalid, "the earlier results are of another machine ({})",
        machine_);
  nlohmann::json& kernels = now["kernels"];
  for (const auto& [name, before] : kernels_.items()) {
    if (!has(name)) continue;
    if (!kernels.contains(name) || kernels[name].value("disturbed", false)) {
      kernels[name] = before;
      continue;
    }
    for (const char* key : {"ratio", "share"})
      kernels[name][key] = std::min(kernels[name][key].get<double>(), before[key].get<double>());
  }
  return now;
}

}  // namespace lowrank
