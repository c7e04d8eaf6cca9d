#include "cli/arguments.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/nearest_name.h"
#include "base/one_line.h"
#include "cli/file_value.h"
#include "cli/flags.h"
#include "cli/peer_names.h"
#include "cli/reported.h"
#include "cli/yaml.h"
#include "session/places.h"

namespace lowrank {
namespace {

constexpr size_t shown_length = 60;

std::string twice(const GivenValue& first, const GivenValue& second) {
  const Field& field = *second.field;
  std::string problem = fmt::format("{} is given twice: {} and {}", flag_name(field.name),
                                    in_quotes(first.text), in_quotes(second.text));
  if (field.type_name.starts_with("list of")) problem += "; a list is written with commas";
  if (field.help.find("a pattern with *") != std::string::npos)
    problem += "; give a folder or a pattern with *";
  return problem;
}

/// A default as help texts show it; nothing for none and for an empty text.
std::string shown_default(const nlohmann::json& value) {
  const bool empty_text = value.is_string() && value.get_ref<const std::string&>().empty();
  return value.is_null() || empty_text ? "" : value.dump();
}

}  // namespace

Arguments::Arguments(std::string_view command, std::string_view summary, std::vector<std::string> given)
    : arguments_(std::move(given)) {
  description_.name = command;
  description_.summary = with_flags(summary);
}

Arguments Arguments::describing(std::string_view command, std::string_view summary) {
  Arguments arguments(command, summary, {});
  arguments.describing_ = true;
  return arguments;
}

std::optional<std::string> Arguments::enter(const std::vector<std::pair<std::string, std::string>>& names,
                                            bool lists) {
  std::vector<std::string> known;
  known.reserve(names.size());
  for (const auto& [name, summary] : names) known.push_back(name);
  description_.words = known;
  if (describing_) return std::nullopt;
  check_usage(lists || !arguments_.empty(), "lowrank {}: name one of {}", description_.name,
              fmt::join(known, ", "));
  if (arguments_.empty() || arguments_.front() == "--help" || arguments_.front() == "-h") {
    std::cout << fmt::format("lowrank {}: {}\n\n", description_.name, description_.summary);
    for (const auto& [name, summary] : names)
      std::cout << fmt::format("  {:<10} {}\n", name, with_flags(summary));
    return std::nullopt;
  }
  const std::string name = arguments_.front();
  const auto near = nearest_name(name, known);
  const auto found = std::ranges::find(known, name);
  check_usage(found != known.end(), "lowrank {}: '{}' is not known{}; there are {}", description_.name, name,
              near ? fmt::format(" (did you mean {}?)", *near) : "", fmt::join(known, ", "));
  arguments_.erase(arguments_.begin());
  description_.name += " " + name;
  description_.summary = with_flags(names[static_cast<size_t>(found - known.begin())].second);
  return name;
}

void Arguments::add(std::vector<Field> fields, const std::string& group) {
  for (Field& field : fields) {
    groups_[field.name] = group;
    fields_.push_back(std::move(field));
  }
}

void Arguments::add_later(std::string name, std::function<std::vector<Field>(const std::string&)> known,
                          std::set<std::string> others) {
  later_.push_back({std::move(name), std::move(known), std::move(others), {}});
}

std::string Arguments::look_ahead(const nlohmann::json& file, const std::string& name) const {
  for (const GivenValue& value : scan_arguments(arguments_, fields_, !positional_.empty()).values) {
    if (flag_name(value.name) == flag_name(name)) return value.text;
  }
  for (const auto& [key, value] : file.items()) {
    const Field* field = field_of_key(fields_, key);
    if (field && field->name == name && value.is_string()) return value.get<std::string>();
  }
  return "";
}

std::string Arguments::hint_for(std::string_view name, bool as_flag) const {
  const auto written = [&](std::string_view own) { return as_flag ? flag_name(own) : std::string(own); };
  const auto of_other = [&](std::string_view own) -> std::string {
    for (const Later& later : later_) {
      const auto same = [&](const std::string& other) { return flag_name(other) == flag_name(own); };
      const Field* field = find_field(fields_, later.name);
      if (field && std::ranges::any_of(later.others, same))
        return fmt::format("; the {} {} has no option {}", later.name,
                           later.value.empty() ? field->get().get<std::string>() : later.value, written(own));
    }
    return "";
  };
  if (std::string words = of_other(name); !words.empty()) return words;
  const auto known = [&](std::string_view own) { return find_field(fields_, own) != nullptr; };
  if (const auto different = difference_of(name, known)) return ": " + *different;
  if (const auto own = own_name(name, known)) return fmt::format(" (did you mean {}?)", written(*own));
  const auto elsewhere = own_name(name, [&](std::string_view own) { return !of_other(own).empty(); });
  if (elsewhere) return of_other(*elsewhere);
  std::vector<std::string> names;
  for (const Field& field : fields_) names.push_back(field.name);
  const auto near = nearest_name(name, names);
  return near ? fmt::format(" (did you mean {}?)", written(*near)) : "";
}

void Arguments::set(const Field& field, const nlohmann::json& value, std::string_view written) {
  given_.insert(field.name);
  try {
    field.set(value);
  } catch (const Error& error) {
    std::string problem = error.what();
    if (problem.starts_with(field.name + " ")) problem.replace(0, field.name.size(), written);
    problems_.push_back(std::move(problem));
  }
}

void Arguments::take_file(const nlohmann::json& file, const std::string& path) {
  const size_t before = problems_.size();
  std::map<std::string, std::string> keys;
  for (const auto& [key, value] : file.items()) {
    const Field* field = field_of_key(fields_, key);
    if (!field || field->name == "config") {
      problems_.push_back(fmt::format("unknown key {}{}", in_quotes(key), hint_for(key, false)));
    } else if (const auto [first, is_new] = keys.emplace(field->name, key); !is_new) {
      problems_.push_back(fmt::format("{} and {} are the same key", first->second, key));
    } else {
      set(*field, fitting(*field, value), key);
    }
  }
  for (size_t i = before; i < problems_.size(); ++i) problems_[i] = fmt::format("{}: {}", path, problems_[i]);
}

void Arguments::take_values(const ScannedArguments& scanned) {
  for (const std::string& problem : scanned.problems) problems_.push_back(problem);
  std::map<std::string, const GivenValue*> seen;
  std::map<std::string, nlohmann::json> lists;
  for (const GivenValue& value : scanned.values) {
    if (!value.field) {
      problems_.push_back(fmt::format("{} is not known{}", one_line(value.written, shown_length),
                                      hint_for(value.name, true)));
    } else if (is_repeatable(*value.field)) {
      nlohmann::json& list = lists[value.name];
      list.push_back(value.text);
      set(*value.field, list, value.written);
    } else if (const auto [first, is_new] = seen.emplace(value.name, &value); !is_new) {
      problems_.push_back(twice(*first->second, value));
    } else if (value.name != "config") {
      set(*value.field, value.field->parse(value.text), value.written);
    }
  }
  std::vector<std::string> words = scanned.words;
  const Field* positional = positional_.empty() ? nullptr : find_field(fields_, positional_);
  if (positional && is_repeatable(*positional) && !words.empty()) {
    nlohmann::json& list = lists[positional->name];
    for (const std::string& word : words) list.push_back(word);
    set(*positional, list, positional->name);
    words.clear();
  } else if (positional && !words.empty() && !given_.contains(positional->name)) {
    set(*positional, words.front(), positional->name);
    words.erase(words.begin());
  }
  for (const std::string& word : words)
    problems_.push_back(fmt::format("{} belongs to no option", in_quotes(word, shown_length)));
}

void Arguments::complete_description() {
  description_.positional = positional_;
  const auto known = [&](std::string_view own) { return find_field(fields_, own) != nullptr; };
  for (const Field& field : fields_) {
    const nlohmann::json value = field.get();
    std::string help = with_flags(field.help);
    std::string others;
    for (const std::string& other : other_names(field.name, known))
      others +=
          fmt::format("{}{}", others.empty() ? "" : ", ", other.size() == 1 ? "-" + other : flag_name(other));
    if (!others.empty()) help += fmt::format(" (also {})", others);
    description_.options.push_back(
        {field.name, field.type_name, shown_default(value), std::move(help), groups_[field.name]});
  }
  if (!describing_) return;
  for (const Later& later : later_) {
    for (const std::string& other : later.others) {
      if (!find_field(fields_, other))
        description_.options.push_back({other, "", "", fmt::format("option of another {}", later.name), {}});
    }
  }
}

void Arguments::print_help() const {
  CLI::App app{description_.summary, "lowrank " + description_.name};
  const auto nothing = [](const std::string&) {};
  for (const OptionDescription& option : description_.options) {
    const std::string flag = flag_name(option.name);
    const std::string help =
        option.fallback.empty() ? option.help : fmt::format("{} [{}]", option.help, option.fallback);
    if (option.is_switch())
      app.add_flag_function(
             flag + ",!--no-" + flag.substr(2), [](int64_t) {}, help)
          ->group(option.group);
    else
      app.add_option_function<std::string>(flag, nothing, help)->type_name(option.type)->group(option.group);
  }
  if (!description_.example.empty()) app.footer("Example:\n  " + description_.example);
  std::cout << app.help();
}

bool Arguments::parse() {
  add({field("config", config_, "YAML file with the same options")});
  config_ = look_ahead(nlohmann::json::object(), "config");
  const nlohmann::json file = config_.empty() ? nlohmann::json::object() : read_yaml(config_);
  for (Later& later : later_) {
    later.value = look_ahead(file, later.name);
    add(later.known(later.value),
        later.value.empty() ? "Options of the " + later.name : fmt::format("Options of {}", later.value));
  }
  const ScannedArguments scanned = scan_arguments(arguments_, fields_, !positional_.empty());
  if (describing_ || scanned.help) {
    complete_description();
    if (!describing_) print_help();
    return false;
  }
  take_file(file, config_);
  take_values(scanned);
  std::erase_if(fields_, [](const Field& field) { return field.name == "config"; });
  check_usage(problems_.empty(), "lowrank {}: {}", description_.name, fmt::join(problems_, "; "));
  return true;
}

void require(const std::vector<std::pair<std::string_view, const std::string*>>& flags) {
  std::vector<std::string_view> missing;
  for (const auto& [flag, text] : flags) {
    if (text->empty()) missing.push_back(flag);
  }
  check_usage(missing.empty(), "missing {}; --help tells what the command takes", fmt::join(missing, ", "));
  for (const auto& [flag, text] : flags) {
    if (flag == "--model") check_model_place(*text);
    if (flag == "--adapter") check_adapter_place(*text);
  }
}

}  // namespace lowrank
