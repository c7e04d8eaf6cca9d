#include "cli/adapter_actions/fit_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/one_line.h"

namespace lowrank {
namespace {

/// Below this share, what is lost is rounding to f32.
constexpr double rounding = 1e-10;

std::string share_text(double share) {
  if (share < rounding) return "none";
  return share < 1e-4 ? fmt::format("{:.1e}", share) : fmt::format("{:.2f} %", 100 * share);
}

int64_t count_exact(std::span<const FittedModule> modules) {
  return std::ranges::count_if(modules, &FittedModule::exact);
}

}  // namespace

std::string text_of(std::span<const FittedModule> modules) {
  const auto [lowest, highest] = std::ranges::minmax(modules, {}, &FittedModule::rank);
  const FittedModule& worst = *std::ranges::max_element(modules, {}, &FittedModule::lost_share);
  const int64_t exact = count_exact(modules);
  std::string text = counted(std::ssize(modules), "module");
  if (exact == std::ssize(modules)) {
    text += ", all exact";
  } else if (exact > 0) {
    text += fmt::format(", {} of them exact", exact);
  }
  text += lowest.rank == highest.rank ? fmt::format(", rank {}", lowest.rank)
                                      : fmt::format(", rank {} to {}", lowest.rank, highest.rank);
  if (exact == std::ssize(modules)) return text;
  text += fmt::format("; {} of the energy lost", share_text(lost_share(modules)));
  if (worst.lost_share() >= rounding)
    text += fmt::format(" (most in {}: {})", worst.name, share_text(worst.lost_share()));
  return text;
}

nlohmann::ordered_json json_of(std::span<const FittedModule> modules) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const FittedModule& module : modules) {
    list.push_back({{"module", module.name},
                    {"rank", module.rank},
                    {"exact", module.exact},
                    {"energy", module.energy},
                    {"lost_share", module.lost_share()}});
  }
  return {{"modules", std::ssize(modules)},
          {"exact", count_exact(modules)},
          {"lost_share", lost_share(modules)},
          {"by_module", std::move(list)}};
}

}  // namespace lowrank
