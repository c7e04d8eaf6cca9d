// lowrank chat: a conversation with a model, on a terminal or line by line from standard input.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iostream>

#include <fmt/ranges.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/nearest_name.h"
#include "base/one_line.h"
#include "cli/arguments.h"
#include "cli/line_reader.h"
#include "cli/registry.h"
#include "cli/reported.h"
#include "session/chat_session.h"

namespace lowrank {
namespace {

bool is_named(const std::string& adapter) {
  return adapter_path(adapter) != adapter;
}

constexpr int64_t default_new_tokens = 1024;

struct Options {
  SessionOptions session;
  GenerationOptions generation;
  ChatOptions chat;
  std::vector<std::string> adapters;
  bool compare = false;
};

/// A line that is not a question, "/adapter news".
struct Command {
  std::string name, rest;
};

std::optional<Command> command_of(const std::string& line) {
  if (!line.starts_with('/') || line.starts_with("//")) return std::nullopt;
  const size_t space = line.find(' ');
  if (space == std::string::npos) return Command{line, ""};
  const size_t begin = line.find_first_not_of(' ', space);
  const size_t end = line.find_last_not_of(' ') + 1;
  return Command{line.substr(0, space), begin < end ? line.substr(begin, end - begin) : ""};
}

constexpr const char* commands_help =
    "/adapter NAME   answers with this adapter from now on (base: none); without a name, lists them\n"
    "/system TEXT    sets the system message; without a text, removes it\n"
    "/reset          begins a new conversation\n"
    "/save FILE      writes the conversation as a row that `lowrank train` reads\n"
    "/help           shows this list\n"
    "/quit           ends, as Ctrl-D does\n"
    "Ctrl-C stops an answer. A question that begins with / is written with two.\n";

/// What a person and one speaker, or several side by side, say to each other.
class Talk {
 public:
  Talk(std::vector<ChatSession> sessions, bool compare) : sessions_(std::move(sessions)), compare_(compare) {}

  std::string prompt() const {
    const ChatSession& one = sessions_.front();
    return (compare_ || one.names().size() == 1 ? "" : one.name()) + "> ";
  }

  /// Returns false at the end.
  bool take(const std::string& line) {
    if (line.find_first_not_of(" \t") == std::string::npos) return true;
    const auto command = command_of(line);
    if (command) return obey(*command);
    ask(line.starts_with("//") ? line.substr(1) : line);
    return true;
  }

 private:
  bool obey(const Command& command) {
    if (command.name == "/quit" || command.name == "/exit") return false;
    if (command.name == "/help") {
      std::cerr << commands_help;
    } else if (command.name == "/adapter") {
      choose(command.rest);
    } else if (command.name == "/system") {
      for (ChatSession& session : sessions_) session.set_system(command.rest);
    } else if (command.name == "/reset") {
      for (ChatSession& session : sessions_) session.reset();
    } else if (command.name == "/save") {
      save(command.rest);
    } else {
      const std::vector<std::string> known{"/adapter", "/system", "/reset", "/save", "/help", "/quit"};
      const auto near = nearest_name(command.name, known);
      fail(ErrorKind::invalid, "{} is not known{}; /help lists what is", in_quotes(command.name),
           near ? fmt::format(" (did you mean {}?)", *near) : "");
    }
    return true;
  }

  void choose(const std::string& name) {
    check(!compare_ || name.empty(), ErrorKind::invalid, "with `compare` all adapters answer");
    std::vector<std::string> names;
    for (const ChatSession& session : sessions_)
      for (const std::string& one : session.names()) names.push_back(one);
    ChatSession& session = sessions_.front();
    if (!name.empty()) return session.choose(name);
    std::cerr << fmt::format("{} ({})\n", fmt::join(names, ", "),
                             compare_ ? "all answer" : session.name() + " answers");
  }

  /// A file that was there before is not replaced; one that this program has written is.
  void save(const std::string& path) {
    check(!path.empty(), ErrorKind::invalid, "/save needs the name of a file");
    std::string rows;
    int64_t messages = 0, cut = 0;
    for (const ChatSession& session : sessions_) {
      nlohmann::ordered_json row = session.row();
      check(session.turns() > 0, ErrorKind::invalid, "nothing has been said yet");
      messages += std::ssize(session.messages());
      cut += session.cut_answers();
      if (compare_) row["adapter"] = session.name();
      rows += json_text(row) + '\n';
    }
    const std::string place = std::filesystem::absolute(path).lexically_normal().string();
    std::error_code ignored;
    check(place == saved_ || !std::filesystem::exists(place, ignored), ErrorKind::invalid,
          "{} exists already and stays as it is; give /save another name", in_quotes(path, 300));
    AtomicFile file(path, place == saved_ ? Existing::replaced : Existing::kept);
    file.write(rows);
    file.commit();
    saved_ = place;
    const std::string of_rows = compare_ ? counted(std::ssize(sessions_), "row") + " of " : "";
    info("{}: {}{}{}", path, of_rows, counted(messages, "message"), compare_ ? " in all" : "");
    if (cut > 0)
      info("{} cut off and {} not learned (\"training\": false)",
           counted(cut, "answer") + (cut == 1 ? " was" : " were"), cut == 1 ? "is" : "are");
  }

  void ask(const std::string& question) {
    for (ChatSession& session : sessions_) {
      if (compare_) std::cout << (&session == &sessions_.front() ? "" : "\n") << session.name() << ":\n";
      answer(session, question);
    }
  }

  void answer(ChatSession& session, const std::string& question) {
    const ChatReply reply =
        session.ask(question, [](std::string_view piece) { std::cout << piece << std::flush; });
    std::cout << std::endl;
    if (reply.forgotten > 0)
      warn("the context is full: the model no longer sees the oldest {} (/reset begins anew)",
           counted(reply.forgotten, "message"));
    if (!reply.ended) info("(the answer was cut after {})", counted(std::ssize(reply.tokens), "token"));
    const std::vector<std::string> notes = session.take_notes().warnings();
    if (!notes.empty() && !warned_) warn("{}", fmt::join(notes, "; "));
    warned_ = warned_ || !notes.empty();
  }

  std::vector<ChatSession> sessions_;
  bool compare_, warned_ = false;
  std::string saved_;
};

/// One line's work. At a terminal the conversation goes on after an error or a stopped answer.
bool take_line(Talk& talk, const std::string& line, bool at_terminal) {
  try {
    return talk.take(line);
  } catch (const Error& error) {
    const bool stopped = error.kind() == ErrorKind::interrupted;
    if (!at_terminal || (stopped && interrupting_signal() != SIGINT)) throw;
    if (stopped) {
      forget_interrupt();
      std::cout << std::endl;
    } else {
      tell_error(error);
    }
    return true;
  }
}

/// The conversation of one speaker after another, each with its own answers, or of one.
std::vector<ChatSession> sessions_of(std::vector<Speaker> speakers, const Tokenizer& tokenizer,
                                     const ChatFormat& format, const Options& options) {
  const Conversation start = start_of_chat(options.chat);
  std::vector<ChatSession> sessions;
  if (!options.compare) {
    sessions.emplace_back(std::move(speakers), tokenizer, format, options.generation, start);
    return sessions;
  }
  for (const Speaker& one : speakers)
    sessions.emplace_back(std::vector{one}, tokenizer, format, options.generation, start);
  return sessions;
}

void talk_to(const OpenSession& session, const Tokenizer& tokenizer, const ChatFormat& format,
             const Options& options) {
  const std::string alone = options.adapters.empty() ? "" : options.adapters.front();
  Talk talk(sessions_of(speakers_of(session, alone), tokenizer, format, options), options.compare);
  LineReader lines;
  if (lines.at_terminal())
    info("chat template: {}; /help lists the commands, Ctrl-D ends", one_line(format.chat_template().name()));
  while (const auto line = lines.read(talk.prompt())) {
    if (!take_line(talk, *line, lines.at_terminal())) return;
  }
  if (lines.at_terminal()) std::cerr << '\n';
}

int run(Arguments& arguments) {
  Options options;
  options.generation.max_new_tokens = default_new_tokens;
  std::vector<Field> generation = options.generation.fields();
  // An answer is shown while it is made, which a search for the likeliest text cannot do.
  const std::vector<Field> of_search = options.generation.beams.fields();
  std::erase_if(generation, [&](const Field& one) {
    return one.name == "batch_size" || one.name == "ignore_eos" || find_field(of_search, one.name);
  });
  arguments.set_example("lowrank chat --model model.gguf --adapter adapter");
  arguments.add(options.session.fields());
  arguments.add({repeatable(field("adapter", options.adapters,
                                  "adapter folder (PEFT, mlx-lm) or GGUF LoRA; or several times NAME=FOLDER, "
                                  "of which /adapter chooses")),
                 field("compare", options.compare, "the base and each adapter answer, one after another")});
  arguments.add(options.chat.fields());
  arguments.add(generation, "Generation");
  if (!arguments.parse()) return 0;
  require({{"--model", &options.session.model}});
  check_usage(options.adapters.size() < 2 || std::ranges::all_of(options.adapters, is_named),
              "several adapters are given as --adapter NAME=FOLDER; /adapter NAME chooses one");
  if (options.compare && options.adapters.empty())
    warn("--compare has no effect without --adapter: the base alone answers");
  const Tokenizer tokenizer = load_tokenizer(options.session.model);
  std::vector<std::string> paths;
  for (const std::string& given : options.adapters) paths.push_back(adapter_path(given));
  const ChatFormat format = need_chat_format(options.session.model, paths, tokenizer, options.chat);
  for (const std::string& path : paths) warn_of_plain_rows(path);
  const OpenSession session = open_session(options.session, options.adapters);
  check(session.checkpoint->spec().task == Task::causal_lm, ErrorKind::unsupported,
        "{}: an encoder generates no text", options.session.model);
  talk_to(session, tokenizer, format, options);
  return 0;
}

}  // namespace

extern const CommandInfo chat_command;
const CommandInfo chat_command{"chat", "holds a conversation on the terminal", run};

}  // namespace lowrank
