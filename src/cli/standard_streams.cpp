#include "cli/standard_streams.h"

#include <cerrno>
#include <exception>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>

namespace lowrank {
namespace {

/// Called by the C++ library for an uncaught exception: prints one sentence instead of the library's message.
[[noreturn]] void end_in_words() {
  constexpr std::string_view words =
      "error: the program ended by an exception that nothing could catch; most often there is too little "
      "memory "
      "(ulimit -v)\n";
  const ssize_t written = write(STDERR_FILENO, words.data(), words.size());
  _exit(written < 0 ? 2 : 1);
}

void set_last_words() {
  std::set_terminate(end_in_words);
}

// Runs before the shared libraries' own initialisers, which need hundreds of megabytes of address space.
[[gnu::used, gnu::section(".preinit_array")]] void (*const before_libraries)() = set_last_words;

}  // namespace

void open_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free descriptor is the stream's own. Standard output is read-only, so that writing to it
    // fails.
    if (open("/dev/null", stream == STDERR_FILENO ? O_WRONLY : O_RDONLY) != stream) return;
  }
}

}  // namespace lowrank
