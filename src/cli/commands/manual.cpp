// lowrank manual: prints the manual page, in the language of man (roff).
#include <iostream>

#include <fmt/format.h>

#include "base/fields.h"
#include "base/version.h"
#include "cli/arguments.h"
#include "cli/command_descriptions.h"
#include "cli/registry.h"

namespace lowrank {
namespace {

/// A text in which nothing is a command of roff.
std::string roff_text(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '\\')
      safe += "\\e";
    else if (c == '-')
      safe += "\\-";
    else
      safe += c;
  }
  if (safe.starts_with('.') || safe.starts_with('\'')) safe.insert(0, "\\&");
  return safe;
}

std::string option_lines(const OptionDescription& option) {
  const std::string flag = roff_text(flag_name(option.name));
  const std::string value =
      option.is_switch() || option.type.empty() ? "" : " \\fI" + roff_text(option.type) + "\\fR";
  const std::string fallback =
      option.fallback.empty() ? "" : fmt::format(" [{}]", roff_text(option.fallback));
  return fmt::format(".TP\n\\fB{}\\fR{}\n{}{}\n", flag, value, roff_text(option.help), fallback);
}

int run(Arguments& arguments) {
  bool json = false;
  arguments.add({field("json", json, "print commands and options as JSON instead")});
  if (!arguments.parse()) return 0;
  const std::vector<CommandDescription> commands = describe_commands();
  if (json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const CommandDescription& command : commands) {
      nlohmann::ordered_json options = nlohmann::ordered_json::array();
      for (const OptionDescription& option : command.options)
        options.push_back({{"name", option.name},
                           {"type", option.type},
                           {"default", option.fallback},
                           {"help", option.help}});
      list.push_back({{"name", command.name}, {"summary", command.summary}, {"options", options}});
    }
    std::cout << list.dump(2) << '\n';
    return 0;
  }
  std::cout << fmt::format(
      ".TH LOWRANK 1 \"\" \"lowrank {}\"\n.SH NAME\nlowrank \\- fine\\-tunes language models with few "
      "trained "
      "parameters\n.SH SYNOPSIS\n.B lowrank\n.I COMMAND\n[\\fB\\-\\-flag\\fR \\fIvalue\\fR ...]\n"
      ".SH DESCRIPTION\nOptions are flags, or \\fIname\\fR=\\fIvalue\\fR, or keys of a YAML file "
      "(\\fB\\-\\-config\\fR). A default is in brackets.\n.SH COMMANDS\n",
      program_version());
  for (const CommandDescription& command : commands) {
    std::cout << fmt::format(".SS lowrank {}\n{}.\n", command.name, roff_text(command.summary));
    for (const OptionDescription& option : command.options) {
      if (!option.type.empty()) std::cout << option_lines(option);
    }
  }
  std::cout << ".SH EXIT STATUS\n0 after success, 1 after an error, 130 or 143 after a signal.\n";
  return 0;
}

}  // namespace

extern const CommandInfo manual_command;
const CommandInfo manual_command{"manual", "prints the manual page", run};

}  // namespace lowrank
