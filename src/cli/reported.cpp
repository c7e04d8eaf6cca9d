#include "cli/reported.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>
#include <string_view>

#include <fmt/format.h>

#include "base/interrupt.h"
#include "base/one_line.h"
#include "cli/flags.h"
#include "session/failures.h"

namespace lowrank {
namespace {

constexpr size_t whole = std::string::npos;

void tell(std::string_view sentence, std::string_view hint = {}) {
  std::cerr << "error: " << one_line(with_flags(sentence), whole) << '\n';
  if (!hint.empty()) std::cerr << "hint: " << one_line(with_flags(hint), whole) << '\n';
}

/// While one exists, the first failed write to standard output throws, so that a long output ends early.
struct OutputWatch {
  OutputWatch() { std::cout.exceptions(std::ios::badbit); }
  // Writing to standard error and ending the program flush standard output once more, which must not throw.
  ~OutputWatch() { std::cout.exceptions(std::ios::goodbit); }
  OutputWatch(const OutputWatch&) = delete;
  OutputWatch& operator=(const OutputWatch&) = delete;
};

int output_lost(int reason) {
  if (reason == EPIPE) return 128 + SIGPIPE;
  tell(fmt::format("cannot write standard output{}{}", reason == 0 ? "" : ": ",
                   reason == 0 ? "" : std::strerror(reason)));
  return 1;
}

}  // namespace

void tell_error(const Error& error) {
  tell(error.what(), error.hint());
}

int reported(const std::function<int()>& work) {
  try {
    const OutputWatch watch;
    const int code = work();
    std::cout.flush();
    return code;
  } catch (const UsageError& error) {
    tell_error(error);
    return 2;
  } catch (const MissingOption& error) {
    tell(fmt::format("{}; --help tells what the command takes", error.what()), error.hint());
    return 2;
  } catch (const Error& error) {
    tell_error(error);
    constexpr int of_signals = 128;
    return error.kind() == ErrorKind::interrupted ? of_signals + interrupting_signal() : 1;
  } catch (const std::ios_base::failure& error) {
    const int reason = errno;
    if (std::cout.bad()) return output_lost(reason);
    tell(sentence_of(error));
  } catch (const std::exception& error) {
    tell(sentence_of(error));
  } catch (...) {
    tell("an unexpected failure without a reason");
  }
  return 1;
}

}  // namespace lowrank
