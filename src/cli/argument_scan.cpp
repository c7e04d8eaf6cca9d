#include "cli/argument_scan.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cli/peer_names.h"

namespace lowrank {
namespace {

bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0;
}

/// "--rank" or "-r"; neither "-1" nor "--- title".
bool is_flag(std::string_view argument) {
  const size_t dashes = argument.starts_with("--") ? 2 : 1;
  return argument.starts_with('-') && argument.size() > dashes && is_letter(argument[dashes]);
}

bool is_switch(const Field& field) {
  return field.type_name == "true or false";
}

/// The field that another program's name stands for; null if there is none.
const Field* field_of_peer(std::span<const Field> fields, std::string_view name) {
  const auto same =
      same_option(name, [&](std::string_view own) { return find_field(fields, own) != nullptr; });
  return same ? find_field(fields, *same) : nullptr;
}

/// "rank" of "rank=4"; nullopt if no name precedes the first "=".
std::optional<std::string_view> name_before_equals(std::string_view argument) {
  const size_t equals = argument.find('=');
  if (equals == std::string_view::npos || equals == 0 || !is_letter(argument.front())) return std::nullopt;
  const std::string_view name = argument.substr(0, equals);
  const bool plain = std::ranges::all_of(name, [](char c) {
    return is_letter(c) || std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
  });
  return plain ? std::optional(name) : std::nullopt;
}

class Scanner {
 public:
  Scanner(std::span<const std::string> arguments, std::span<const Field> fields, bool words_welcome)
      : rest_(arguments), fields_(fields), words_welcome_(words_welcome) {}

  ScannedArguments scan() {
    while (!rest_.empty()) {
      const std::string_view argument = rest_.front();
      rest_ = rest_.subspan(1);
      if (argument == "--help" || argument == "-h")
        found_.help = true;
      else if (is_flag(argument))
        take_flag(argument);
      else
        take_word(argument);
    }
    return std::move(found_);
  }

 private:
  void add(std::string_view name, std::string_view text, std::string_view written, const Field* field) {
    found_.values.push_back(
        {field ? field->name : std::string(name), std::string(text), std::string(written), field});
  }

  /// The field that a flag sets: its own name after two dashes, or another program's.
  const Field* field_of(std::string_view written, std::string_view name) const {
    const Field* field = written.starts_with("--") ? find_field(fields_, name) : nullptr;
    return field ? field : field_of_peer(fields_, name);
  }

  bool is_known_value(std::string_view argument) const {
    const auto name = name_before_equals(argument);
    return name && field_of_key(fields_, *name);
  }

  void take_flag(std::string_view argument) {
    const size_t equals = argument.find('=');
    const std::string_view written = argument.substr(0, equals);
    const std::string_view name = written.substr(written.starts_with("--") ? 2 : 1);
    const Field* field = field_of(written, name);
    if (equals != std::string_view::npos) return add(name, argument.substr(equals + 1), written, field);
    if (field && is_switch(*field)) return take_switch(*field, written, "true");
    if (!field && name.starts_with("no-")) {
      const Field* opposite = find_field(fields_, name.substr(3));
      if (opposite && is_switch(*opposite)) return take_switch(*opposite, written, "false");
    }
    const bool optional = field && is_optional_text(*field);
    const bool value_follows = !rest_.empty() &&
                               (field && is_any_text(*field) ? true : !is_flag(rest_.front())) &&
                               ((field && !optional) || !is_known_value(rest_.front()));
    if (value_follows) {
      add(name, rest_.front(), written, field);
      rest_ = rest_.subspan(1);
    } else if (!field || optional) {
      add(name, "", written, field);
    } else {
      found_.problems.push_back(fmt::format("{} needs a value", written));
      if (!rest_.empty())
        found_.problems.back() += fmt::format(" ({0}={1} if {1} is meant)", written, rest_.front());
    }
  }

  void take_switch(const Field& field, std::string_view written, std::string_view value) {
    add(field.name, value, written, &field);
    if (rest_.empty() || (rest_.front() != "true" && rest_.front() != "false")) return;
    found_.problems.push_back(
        fmt::format("{} takes no value: write {}={}", written, flag_name(field.name), rest_.front()));
    rest_ = rest_.subspan(1);
  }

  void take_word(std::string_view argument) {
    const auto name = name_before_equals(argument);
    const Field* field = name ? field_of_key(fields_, *name) : nullptr;
    if (name && (field || !words_welcome_))
      add(*name, argument.substr(name->size() + 1), *name, field);
    else
      found_.words.emplace_back(argument);
  }

  std::span<const std::string> rest_;
  std::span<const Field> fields_;
  bool words_welcome_;
  ScannedArguments found_;
};

}  // namespace

const Field* field_of_key(std::span<const Field> fields, std::string_view key) {
  const Field* field = find_field(fields, key);
  return field || key.size() == 1 ? field : field_of_peer(fields, key);
}

ScannedArguments scan_arguments(std::span<const std::string> arguments, std::span<const Field> fields,
                                bool words_welcome) {
  return Scanner(arguments, fields, words_welcome).scan();
}

}  // namespace lowrank
