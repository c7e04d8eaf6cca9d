#include "base/progress.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace lowrank {

std::string clock_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(std::clamp(seconds, 0.0, 3.15e9)));
  const int64_t hours = whole / 3600, minutes = whole / 60 % 60;
  return hours ? fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60)
               : fmt::format("{}:{:02}", minutes, whole % 60);
}

namespace {

std::string memory_text(int64_t bytes) {
  return bytes >= 1'000'000'000 ? fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9)
                                : fmt::format("{:.0f} MB", static_cast<double>(bytes) / 1e6);
}

size_t terminal_columns() {
  winsize size = {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string progress_line(std::string_view unit, int64_t done, int64_t total, const ProgressNumbers& numbers,
                          size_t width) {
  enum { count, loss, evaluation, rate, speed, memory, left };
  std::array<std::string, 7> parts;
  parts[count] = total > 0 ? fmt::format("{} {}/{}", unit, done, total) : fmt::format("{} {}", unit, done);
  if (numbers.loss) parts[loss] = fmt::format("loss {:.3f}", *numbers.loss);
  if (numbers.evaluation_loss) parts[evaluation] = fmt::format("eval {:.3f}", *numbers.evaluation_loss);
  if (numbers.learning_rate) parts[rate] = fmt::format("lr {:.1e}", *numbers.learning_rate);
  if (numbers.tokens_per_second) parts[speed] = fmt::format("{:.0f} tok/s", *numbers.tokens_per_second);
  if (numbers.memory_bytes) parts[memory] = memory_text(*numbers.memory_bytes);
  if (numbers.seconds_left) parts[left] = clock_text(*numbers.seconds_left) + " left";

  const auto joined = [&] {
    std::string line;
    for (const std::string& part : parts)
      if (!part.empty()) line += (line.empty() ? "" : "  ") + part;
    return line;
  };
  for (int dropped : {memory, rate, speed, evaluation, left, loss}) {
    if (joined().size() <= width) break;
    parts[dropped].clear();
  }
  return joined().substr(0, width);
}

ProgressOutput ProgressOutput::standard_error() {
  const bool terminal = standard_error_redraws();
  return {[](std::string_view text) {
            std::fwrite(text.data(), 1, text.size(), stderr);
            std::fflush(stderr);
          },
          terminal, terminal_columns, terminal ? 0.1 : 10.0};
}

Progress::Progress(std::string unit, int64_t total, int64_t first, ProgressOutput output)
    : unit_(std::move(unit)),
      total_(total),
      first_(first),
      output_(std::move(output)),
      started_(monotonic_seconds()),
      drawn_(-std::numeric_limits<double>::infinity()) {}

Progress::~Progress() {
  if (line_open_) output_.write("\n");
}

void Progress::update(int64_t done, ProgressNumbers numbers, double now) {
  if (done < total_ && !due(done, now)) return;
  drawn_ = now;
  if (!numbers.seconds_left && total_ > 0 && done > first_)
    numbers.seconds_left =
        (now - started_) / static_cast<double>(done - first_) * static_cast<double>(total_ - done);
  if (!output_.terminal) {
    output_.write(progress_line(unit_, done, total_, numbers, std::string::npos) + "\n");
    return;
  }
  // The last column stays free: some terminals wrap when it is written.
  const size_t width = std::max<size_t>(output_.columns(), 2) - 1;
  output_.write("\r\033[K" + progress_line(unit_, done, total_, numbers, width));
  line_open_ = true;
}

bool Progress::due(int64_t done, double now) const {
  if (!output_.terminal && output_.rounds_between > 0) return done % output_.rounds_between == 0;
  return now - drawn_ >= output_.seconds_between;
}

void Progress::clear() {
  if (line_open_) output_.write("\r\033[K");
  line_open_ = false;
}

}  // namespace lowrank
