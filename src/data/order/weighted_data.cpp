#include "data/order/weighted_data.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <optional>
#include <system_error>

#include "base/error.h"

namespace lowrank {
namespace {

constexpr double most_weight = 1000;

/// The number that the whole text is, also one beyond what a double holds; nothing for other texts.
std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size() || error == std::errc::invalid_argument) return std::nullopt;
  return error == std::errc() ? value : 0;
}

}  // namespace

WeightedData weighted_data(std::string_view text) {
  const size_t colon = text.rfind(':');
  std::error_code ignored;
  if (colon == std::string_view::npos || std::filesystem::exists(std::filesystem::path(text), ignored))
    return {std::string(text)};
  const std::optional<double> weight = number(text.substr(colon + 1));
  if (!weight) return {std::string(text)};
  check(*weight > 0 && *weight <= most_weight, ErrorKind::invalid,
        "`data` {}: the weight after the colon must be above 0 and at most {}, not {}", text, most_weight,
        text.substr(colon + 1));
  check(colon > 0, ErrorKind::invalid, "`data` {}: there is no file before the weight", text);
  return {std::string(text.substr(0, colon)), *weight};
}

std::vector<WeightedData> weighted_data(const std::vector<std::string>& texts) {
  std::vector<WeightedData> data;
  data.reserve(texts.size());
  for (const std::string& text : texts) data.push_back(weighted_data(std::string_view(text)));
  return data;
}

std::vector<std::string> patterns_of(const std::vector<std::string>& texts) {
  std::vector<std::string> patterns;
  for (WeightedData& data : weighted_data(texts)) patterns.push_back(std::move(data.pattern));
  return patterns;
}

std::string words_for(const std::vector<WeightedData>& data) {
  std::string words;
  for (const auto& [pattern, weight] : data) {
    if (!words.empty()) words += ", ";
    words += weight == 1 ? pattern : fmt::format("{} (weight {:g})", pattern, weight);
  }
  return words;
}

}  // namespace lowrank
