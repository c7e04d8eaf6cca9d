#include "cli/line_reader.h"

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <unistd.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "tokenizer/core/byte_level.h"

namespace lowrank {
namespace {

constexpr size_t max_line_bytes = 1 << 20;
constexpr int history_lines = 1000;

enum class Input { byte, end, interrupted };

/// The next byte of standard input. A signal ends the wait: reading alone would start again after it.
Input next_byte(char& byte) {
  constexpr int pause = 200;  // milliseconds, for a signal that arrives between the check and the wait
  while (!interrupted()) {
    pollfd waiting{STDIN_FILENO, POLLIN, 0};
    if (poll(&waiting, 1, pause) <= 0) continue;
    const ssize_t count = read(STDIN_FILENO, &byte, 1);
    if (count == 1) return Input::byte;
    if (count == 0 || (errno != EINTR && errno != EAGAIN)) return Input::end;
  }
  return Input::interrupted;
}

/// libedit's reader of one character: 1, 0 at the end, -1 after a signal.
int read_character(EditLine*, wchar_t* character) {
  std::mbstate_t state{};
  char byte = 0;
  while (true) {
    const Input input = next_byte(byte);
    if (input != Input::byte) return input == Input::end ? 0 : -1;
    const size_t used = std::mbrtowc(character, &byte, 1, &state);
    if (used == static_cast<size_t>(-2)) continue;  // more bytes to come
    if (used == static_cast<size_t>(-1)) *character = L'\uFFFD';
    return 1;
  }
}

/// Characters beyond ASCII are edited and shown as such only in a UTF-8 locale.
void use_utf8() {
  if (!std::setlocale(LC_CTYPE, "") || std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
    std::setlocale(LC_CTYPE, "C.UTF-8");
}

void check_line(const std::string& line) {
  check(line.size() <= max_line_bytes, ErrorKind::invalid, "a line of more than {} bytes", max_line_bytes);
  const auto malformed = first_malformed(line);
  check(!malformed, ErrorKind::invalid, "the line is not UTF-8 at byte {}", malformed.value_or(0));
}

}  // namespace

/// libedit's state. The prompt function finds it as the editor's client data.
struct LineReader::Editor {
  Editor() {
    use_utf8();
    // Where answers go to a file, the prompt stays on the terminal.
    FILE* shown = isatty(STDOUT_FILENO) != 0 ? stdout : stderr;
    line = el_init("lowrank", stdin, shown, stderr);
    check(line != nullptr, ErrorKind::io, "the terminal cannot be used for editing lines");
    past = history_init();
    HistEvent event;
    history(past, &event, H_SETSIZE, history_lines);
    history(past, &event, H_SETUNIQUE, 1);
    el_set(line, EL_CLIENTDATA, this);
    el_set(line, EL_PROMPT, &prompt_of);
    el_set(line, EL_EDITOR, "emacs");
    el_set(line, EL_HIST, history, past);
    el_set(line, EL_GETCFN, &read_character);
    el_set(line, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  }
  ~Editor() {
    history_end(past);
    el_end(line);
  }
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;

  static char* prompt_of(EditLine* line) {
    Editor* self = nullptr;
    el_get(line, EL_CLIENTDATA, &self);
    return self->prompt.data();
  }

  EditLine* line = nullptr;
  History* past = nullptr;
  std::string prompt;
};

LineReader::LineReader() {
  if (isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0) editor_ = std::make_unique<Editor>();
}

LineReader::~LineReader() = default;

std::optional<std::string> LineReader::read(const std::string& prompt) {
  if (!editor_) return read_plain();
  editor_->prompt = prompt;
  while (true) {
    int count = 0;
    const char* typed = el_gets(editor_->line, &count);
    if (interrupting_signal() == SIGINT) {
      forget_interrupt();
      std::fputc('\n', stderr);
      continue;
    }
    throw_if_interrupted();
    if (!typed || count <= 0) return std::nullopt;
    std::string text(typed, static_cast<size_t>(count));
    if (text.ends_with('\n')) text.pop_back();
    check_line(text);
    HistEvent event;
    if (!text.empty()) history(editor_->past, &event, H_ENTER, text.c_str());
    return text;
  }
}

std::optional<std::string> LineReader::read_plain() {
  std::string line;
  char byte = 0;
  Input input = next_byte(byte);
  for (; input == Input::byte && byte != '\n'; input = next_byte(byte)) {
    line += byte;
    if (line.size() > max_line_bytes) break;
  }
  throw_if_interrupted();
  if (input == Input::end && line.empty()) return std::nullopt;
  if (line.ends_with('\r')) line.pop_back();
  check_line(line);
  return line;
}

}  // namespace lowrank
