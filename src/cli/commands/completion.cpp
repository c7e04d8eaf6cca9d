// lowrank completion: prints the script that completes commands and options in a shell.
#include <iostream>

#include <fmt/ranges.h>

#include "base/fields.h"
#include "cli/arguments.h"
#include "cli/command_descriptions.h"
#include "cli/registry.h"

namespace lowrank {
namespace {

/// In single quotes, for any of the shells' scripts.
std::string quoted(const std::string& text) {
  std::string safe;
  for (const char c : text) safe += c == '\'' ? ' ' : c;
  return "'" + safe + "'";
}

/// The flags of an option: a switch also has its opposite.
std::vector<std::string> flags_of(const OptionDescription& option) {
  const std::string flag = flag_name(option.name);
  if (!option.is_switch()) return {flag};
  return {flag, "--no-" + flag.substr(2)};
}

std::vector<std::string> all_flags(const CommandDescription& command) {
  std::vector<std::string> flags{"--help"};
  for (const OptionDescription& option : command.options) {
    for (std::string& flag : flags_of(option)) flags.push_back(std::move(flag));
  }
  return flags;
}

std::string bash_script(const std::vector<CommandDescription>& commands) {
  std::string names, cases;
  for (const CommandDescription& command : commands) {
    names += (names.empty() ? "" : " ") + command.name;
    cases += fmt::format("    {}) flags='{}' words='{}' ;;\n", command.name,
                         fmt::join(all_flags(command), " "), fmt::join(command.words, " "));
  }
  std::string values;
  for (const CommandDescription& command : commands) {
    for (const OptionDescription& option : command.options) {
      if (const std::vector<std::string> known = values_of(option); !known.empty())
        values += fmt::format("    {}:{}) COMPREPLY=($(compgen -W '{}' -- \"$word\")); return ;;\n",
                              command.name, flag_name(option.name), fmt::join(known, " "));
    }
  }
  return fmt::format(R"(# bash completion of lowrank
_lowrank() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} flags='' words=''
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '{} --help --version' -- "$word"))
    return
  fi
  case ${{COMP_WORDS[1]}}:${{COMP_WORDS[COMP_CWORD - 1]}} in
{}  esac
  case ${{COMP_WORDS[1]}} in
{}  esac
  if [ "$COMP_CWORD" -eq 2 ] && [ -n "$words" ]; then
    COMPREPLY=($(compgen -W "$words" -- "$word"))
  elif [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -o filenames -F _lowrank lowrank
)",
                     names, values, cases);
}

/// A text inside one of zsh's specifications.
std::string zsh_text(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') safe += '\\';
    safe += c;
  }
  return safe;
}

std::string zsh_script(const std::vector<CommandDescription>& commands) {
  std::string names, cases;
  for (const CommandDescription& command : commands) {
    names += fmt::format("    {}\n", quoted(command.name + ":" + zsh_text(command.summary)));
    cases += fmt::format("    {}) _arguments", command.name);
    for (const OptionDescription& option : command.options) {
      const std::vector<std::string> known = values_of(option);
      const std::string value = option.is_switch() ? ""
                                : known.empty()    ? ":value:_files"
                                                   : fmt::format(":value:({})", fmt::join(known, " "));
      for (const std::string& flag : flags_of(option))
        cases += " \\\n      " + quoted(fmt::format("{}[{}]{}", flag, zsh_text(option.help), value));
    }
    cases += command.words.empty()
                 ? " \\\n      '*:file:_files' ;;\n"
                 : fmt::format(" \\\n      '1:benchmark:({})' ;;\n", fmt::join(command.words, " "));
  }
  return fmt::format(R"(#compdef lowrank
_lowrank() {{
  local -a names
  names=(
{}  )
  if (( CURRENT == 2 )); then
    _describe command names
    return
  fi
  local name=$words[2]
  shift words
  (( CURRENT-- ))
  case $name in
{}  esac
}}
_lowrank "$@"
)",
                     names, cases);
}

std::string fish_script(const std::vector<CommandDescription>& commands) {
  std::string script = "# fish completion of lowrank\n";
  for (const CommandDescription& command : commands) {
    script += fmt::format("complete -c lowrank -n __fish_use_subcommand -a {} -d {}\n", command.name,
                          quoted(command.summary));
    const std::string when = fmt::format("-n '__fish_seen_subcommand_from {}'", command.name);
    if (!command.words.empty())
      script += fmt::format("complete -c lowrank {} -f -a '{}'\n", when, fmt::join(command.words, " "));
    for (const OptionDescription& option : command.options) {
      const std::vector<std::string> known = values_of(option);
      const std::string value = option.is_switch() ? ""
                                : known.empty()    ? " -r"
                                                   : fmt::format(" -x -a '{}'", fmt::join(known, " "));
      for (const std::string& flag : flags_of(option))
        script += fmt::format("complete -c lowrank {} -l {} -d {}{}\n", when, flag.substr(2),
                              quoted(option.help), value);
    }
  }
  return script;
}

int run(Arguments& arguments) {
  std::string shell;
  arguments.set_example("lowrank completion bash > ~/.local/share/bash-completion/completions/lowrank");
  arguments.add({one_of(field("shell", shell, "the shell"), {"bash", "zsh", "fish"})});
  arguments.add_positional("shell");
  if (!arguments.parse()) return 0;
  require({{"--shell", &shell}});
  const std::vector<CommandDescription> commands = describe_commands();
  std::cout << (shell == "bash"  ? bash_script(commands)
                : shell == "zsh" ? zsh_script(commands)
                                 : fish_script(commands));
  return 0;
}

}  // namespace

extern const CommandInfo completion_command;
const CommandInfo completion_command{"completion", "prints a completion script for bash, zsh or fish", run};

}  // namespace lowrank
