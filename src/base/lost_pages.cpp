#include "base/lost_pages.h"

#include <csignal>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>

namespace lowrank {
namespace {

constexpr size_t longest_line = 4096 + 128;  // a path and what stands in front of it

void say(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

/// Reads a hexadecimal number off the front of `line`.
uintptr_t take_address(std::string_view& line) {
  uintptr_t address = 0;
  while (!line.empty()) {
    const char letter = line.front();
    const int digit = letter >= '0' && letter <= '9'   ? letter - '0'
                      : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10
                                                       : -1;
    if (digit < 0) break;
    address = address * 16 + static_cast<uintptr_t>(digit);
    line.remove_prefix(1);
  }
  return address;
}

/// The path of a line of /proc/self/maps if it covers the address, else nothing.
std::string_view path_at(std::string_view line, uintptr_t address) {
  const uintptr_t begin = take_address(line);
  if (!line.empty()) line.remove_prefix(1);
  const uintptr_t end = take_address(line);
  const size_t slash = line.find('/');
  return address >= begin && address < end && slash != std::string_view::npos ? line.substr(slash)
                                                                              : std::string_view();
}

/// Says which file is mapped at the address. Only what a signal handler may call is called.
void say_file_at(uintptr_t address) {
  static char line[longest_line];
  const int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  size_t size = 0;
  char letter = 0;
  while (maps >= 0 && read(maps, &letter, 1) == 1) {
    if (letter != '\n') {
      if (size < sizeof(line)) line[size++] = letter;
      continue;
    }
    const std::string_view path = path_at({line, size}, address);
    size = 0;
    if (path.empty()) continue;
    say(path);
    return;
  }
  say("a mapped file");
}

extern "C" void on_lost_page(int, siginfo_t* info, void*) {
  say("\nerror: ");
  say_file_at(reinterpret_cast<uintptr_t>(info->si_addr));
  say(": became shorter, or can no longer be read, while it was in use, so the work was stopped without a "
      "result; "
      "leave the file alone and run again\n");
  _exit(1);
}

}  // namespace

void end_when_pages_are_lost() {
  struct sigaction action = {};
  action.sa_sigaction = on_lost_page;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace lowrank
