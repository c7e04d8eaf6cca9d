#include "cli/arguments.h"

#include <algorithm>
#include <iostream>

#include <CLI/CLI.hpp>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/nearest_name.h"
#include "cli/yaml.h"

namespace lowrank {
namespace {

using Texts = std::map<std::string, std::string>;

/// `key=value` arguments apart from flags and their values.
std::pair<std::vector<std::string>, Texts> split_overrides(const std::vector<std::string>& arguments) {
  std::pair<std::vector<std::string>, Texts> parts;
  bool value_follows = false;
  for (const std::string& argument : arguments) {
    const size_t equals = argument.find('=');
    const bool is_flag = argument.starts_with("--");
    if (!is_flag && !value_follows && equals != std::string::npos && equals > 0) {
      parts.second[argument.substr(0, equals)] = argument.substr(equals + 1);
    } else {
      parts.first.push_back(argument);
    }
    value_follows = is_flag && equals == std::string::npos;
  }
  return parts;
}

/// The value of `name` wherever it is given, before the fields that depend on it exist.
std::string look_ahead(const std::vector<std::string>& arguments, const nlohmann::json& file,
                       const std::string& name) {
  const std::string flag = flag_name(name);
  std::string found = file.contains(name) && file[name].is_string() ? file[name].get<std::string>() : "";
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == flag && i + 1 < arguments.size()) found = arguments[i + 1];
    for (const std::string& prefix : {flag + "=", name + "="}) {
      if (arguments[i].starts_with(prefix)) found = arguments[i].substr(prefix.size());
    }
  }
  return found;
}

}  // namespace

Arguments::Arguments(std::string_view command, std::string_view summary)
    : command_(command), summary_(summary) {}

void Arguments::add(std::vector<Field> fields) {
  for (Field& field : fields) fields_.push_back(std::move(field));
}

void Arguments::add_later(std::string name, std::function<std::vector<Field>(const std::string&)> known) {
  later_[std::move(name)] = std::move(known);
}

bool Arguments::parse(const std::vector<std::string>& arguments) {
  const std::string config_path = look_ahead(arguments, nlohmann::json::object(), "config");
  const nlohmann::json file = config_path.empty() ? nlohmann::json::object() : read_yaml(config_path);
  for (const auto& [name, known] : later_) add(known(look_ahead(arguments, file, name)));

  const auto [flags, overrides] = split_overrides(arguments);
  Texts given;
  CLI::App app{summary_, "lowrank " + command_};
  std::string config;
  app.add_option("--config", config, "YAML file with the same names");
  for (const Field& field : fields_) {
    const std::string help =
        fmt::format("{} [{}]", field.help, field.get().is_null() ? "" : field.get().dump());
    if (field.type_name == "true or false") {
      app.add_flag_function(
          flag_name(field.name) + ",!--no-" + flag_name(field.name).substr(2),
          [&given, &field](int64_t count) { given[field.name] = count > 0 ? "true" : "false"; }, help);
    } else {
      app.add_option_function<std::string>(
             flag_name(field.name), [&given, &field](const std::string& text) { given[field.name] = text; },
             help)
          ->take_last();
    }
  }
  app.allow_extras();
  try {
    app.parse(std::vector<std::string>(flags.rbegin(), flags.rend()));
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return false;
  } catch (const CLI::ParseError& error) {
    fail(ErrorKind::invalid, "lowrank {}: {}", command_, error.what());
  }
  std::vector<std::string> problems;
  std::vector<std::string> known;
  for (const Field& field : fields_) known.push_back(flag_name(field.name));
  for (const std::string& extra : app.remaining()) {
    const auto near = nearest_name(extra, known);
    problems.push_back(
        fmt::format("{} is not known{}", extra, near ? fmt::format(" (did you mean {}?)", *near) : ""));
  }
  const auto attempt = [&](const auto& action) {
    try {
      action();
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
  };
  attempt([&] { apply(fields_, file, config_path); });
  for (const Texts& texts : {overrides, given}) {
    for (const auto& option : texts) {
      attempt([&] {
        const auto& [name, text] = option;
        const Field* field = find_field(fields_, name);
        const auto near = field ? std::nullopt : nearest_name(flag_name(name), known);
        check(field != nullptr, ErrorKind::invalid, "{} is not known{}", name,
              near ? fmt::format(" (did you mean {}?)", *near) : "");
        set_text(*field, text);
      });
    }
  }
  check(problems.empty(), ErrorKind::invalid, "lowrank {}: {}", command_, fmt::join(problems, "; "));
  return true;
}

void require(const std::vector<std::pair<std::string_view, const std::string*>>& flags) {
  std::vector<std::string_view> missing;
  for (const auto& [flag, text] : flags) {
    if (text->empty()) missing.push_back(flag);
  }
  check(missing.empty(), ErrorKind::invalid, "missing {}; --help tells what the command takes",
        fmt::join(missing, ", "));
}

}  // namespace lowrank
