#pragma once

#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "fuzz/target.h"

namespace lowrank::fuzz {

using Json = nlohmann::ordered_json;

inline void collect(Json& value, std::vector<Json*>& all) {
  all.push_back(&value);
  if (value.is_structured()) {
    for (Json& member : value) collect(member, all);
  }
}

/// A value that readers rarely see.
inline Json odd_value(Mutation& mutation) {
  static const Json values = {nullptr,
                              true,
                              false,
                              0,
                              -1,
                              1,
                              2147483647,
                              -2147483649LL,
                              9223372036854775807LL,
                              18446744073709551615ULL,
                              1e308,
                              0.5,
                              "",
                              "\u2581",
                              std::string("a\0b", 3),
                              Json::array(),
                              Json::object(),
                              Json::array({1, 2}),
                              "all-linear",
                              "Sequence",
                              std::string(300, 'x'),
                              ".*",
                              64,
                              3,
                              "../x"};
  const size_t choice = mutation.below(values.size() + 4);
  return choice < values.size() ? values[choice] : Json(mutation.below(200));
}

inline void change_text(std::string& text, Mutation& mutation) {
  static constexpr std::string_view special = "()[]*+?|\\.^${}-&";
  if (text.empty()) return;
  const size_t at = mutation.below(text.size());
  switch (mutation.below(4)) {
    case 0:
      text.erase(at, 1);
      break;
    case 1:
      text.insert(at, 1, special[mutation.below(special.size())]);
      break;
    case 2:
      if (text.size() < 1000) text += text;
      break;
    default:
      text[at] = static_cast<char>(' ' + mutation.below(95));
  }
}

inline void change_container(Json& value, const Json& other, Mutation& mutation) {
  if (value.empty()) {
    if (value.is_array()) value.push_back(other);
    return;
  }
  const auto member = [&] {
    return std::next(value.begin(), static_cast<int64_t>(mutation.below(value.size())));
  };
  switch (mutation.below(3)) {
    case 0:
      value.erase(member());
      break;
    case 1:
      std::swap(*member(), *member());
      break;
    default:
      if (value.is_array()) value.push_back(Json(*member()));
  }
}

/// One change of a value somewhere in the tree.
inline void change_json(Json& root, Mutation& mutation) {
  std::vector<Json*> all;
  collect(root, all);
  // Long lists (a vocabulary) would take nearly all changes.
  if (all.size() > 300 && !mutation.once_in(4))
    std::erase_if(all, [](const Json* v) { return !v->is_structured(); });
  Json& value = *all[mutation.below(all.size())];
  const Json other = *all[mutation.below(all.size())];
  switch (mutation.below(5)) {
    case 0:
      value = odd_value(mutation);
      break;
    case 1:
      value = other;
      break;
    default:
      if (value.is_structured()) {
        change_container(value, other, mutation);
      } else if (value.is_number_integer()) {
        value = (value.get<int64_t>() & 0xFFFF) + static_cast<int64_t>(mutation.below(5)) - 2;
      } else if (value.is_string()) {
        change_text(value.get_ref<std::string&>(), mutation);
      }
  }
}

/// JSON text with up to four changes; text that is not JSON is unchanged.
inline std::string changed_json(const std::string& text, Mutation& mutation) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return text;
  for (size_t times = 1 + mutation.below(4); times > 0; --times) change_json(json, mutation);
  return json_text(json);
}

/// A safetensors file with a changed header.
inline std::string changed_safetensors(const std::string& file, Mutation& mutation) {
  uint64_t length = 0;
  if (file.size() < sizeof length) return file;
  std::memcpy(&length, file.data(), sizeof length);
  if (length > file.size() - sizeof length) return file;
  const std::string header = changed_json(file.substr(sizeof length, length), mutation);
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header +
         file.substr(sizeof length + length);
}

/// Does a number of this size occur anywhere in the JSON text, except as a frequency of rotary embeddings?
inline bool holds_number_above(const Json& json, double limit) {
  if (json.is_number()) return json.get<double>() > limit;
  if (!json.is_structured()) return false;
  for (const auto& [key, member] : json.items()) {
    if (!key.starts_with("rope") && holds_number_above(member, limit)) return true;
  }
  return false;
}
inline bool holds_number_above(const std::string& text, double limit) {
  return holds_number_above(Json::parse(text, nullptr, false), limit);
}

}  // namespace lowrank::fuzz
