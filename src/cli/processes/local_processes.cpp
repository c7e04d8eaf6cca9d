#include "cli/processes/local_processes.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sched.h>
#include <spawn.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "cli/processes/memory_nodes.h"
#include "kernels/core/parallel.h"
#include "train/ranks/rank_store.h"
#include "train/ranks/rank_watch.h"

namespace lowrank {
namespace {

constexpr const char* loopback = "127.0.0.1";
/// Names the process that started this one.
constexpr const char* launcher_variable = "LOWRANK_LAUNCHER";
/// How many processes of the run share the processors of this one.
constexpr const char* sharing_variable = "LOWRANK_SHARING_PROCESSES";
constexpr const char* nodes_folder = "/sys/devices/system/node";
constexpr std::chrono::milliseconds between_looks{50};
constexpr std::chrono::seconds patience{30};

struct LocalRank {
  pid_t process = 0;
  bool ended = false;
  int code = 0;  ///< as a shell gives it
};

/// Texts that are separated by zeros, as pointers for exec.
std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> arguments;
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = all.find('\0', begin);
    arguments.push_back(all.substr(begin, end - begin));
    begin = end + 1;
  }
  return arguments;
}

/// The environment of a rank: this process's, with the variables of torchrun.
std::vector<std::string> environment_of(int64_t rank, int64_t count, int port, int64_t sharing) {
  const std::vector<std::pair<std::string, std::string>> own{{"RANK", fmt::to_string(rank)},
                                                             {"WORLD_SIZE", fmt::to_string(count)},
                                                             {"LOCAL_RANK", fmt::to_string(rank)},
                                                             {"LOCAL_WORLD_SIZE", fmt::to_string(count)},
                                                             {"MASTER_ADDR", loopback},
                                                             {"MASTER_PORT", fmt::to_string(port)},
                                                             {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                                                             {"TORCHELASTIC_RESTART_COUNT", ""},
                                                             {launcher_variable, fmt::to_string(getpid())},
                                                             {sharing_variable, fmt::to_string(sharing)}};
  std::vector<std::string> all;
  for (char** one = environ; *one; ++one) {
    const std::string entry = *one;
    const bool replaced =
        std::ranges::any_of(own, [&](const auto& v) { return entry.starts_with(v.first + "="); });
    if (!replaced) all.push_back(entry);
  }
  for (const auto& [name, value] : own) all.push_back(fmt::format("{}={}", name, value));
  return all;
}

/// Starts a rank in a process group of its own: what a terminal's keys send comes from here, once.
LocalRank started(int64_t rank, int64_t count, int port, const ProcessPlace& place) {
  // From its first moment, when OpenMP's library counts processors.
  const BoundTo bound(place.processors);
  std::vector<std::string> arguments = own_arguments(),
                           environment =
                               environment_of(rank, count, port, bound.holds() ? place.sharing : count);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  LocalRank found;
  const int error = posix_spawn(&found.process, "/proc/self/exe", nullptr, &attributes,
                                pointers_to(arguments).data(), pointers_to(environment).data());
  posix_spawnattr_destroy(&attributes);
  check(error == 0, ErrorKind::io, "the process of rank {} cannot be started: {}", rank,
        std::strerror(error));
  return found;
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("was ended by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  return fmt::format("ended with exit code {}", WEXITSTATUS(status));
}

/// The processes of a run, from their start to the last one's end.
class LocalRun {
 public:
  explicit LocalRun(int64_t count)
      : store_(RankStore::serve(loopback, 0)),
        keys_(RankStore::connect(loopback, store_.port(), patience, rank_keys({}))) {
    const std::vector<ProcessPlace> places =
        places_of_processes(memory_nodes(nodes_folder, usable_processors()), count);
    for (int64_t rank = 0; rank < count; ++rank)
      ranks_.push_back(started(rank, count, store_.port(), places[rank]));
  }
  ~LocalRun() { send(SIGKILL); }
  LocalRun(const LocalRun&) = delete;
  LocalRun& operator=(const LocalRun&) = delete;

  int to_the_end() {
    bool passed_on = false;
    while (running()) {
      look();
      if (interrupted() && !std::exchange(passed_on, true)) send(interrupting_signal());
      if (failed_ && std::chrono::steady_clock::now() - failed_at_ > patience) send(SIGKILL);
      std::this_thread::sleep_for(between_looks);
    }
    if (ranks_.front().code != 0) return ranks_.front().code;
    for (const LocalRank& rank : ranks_) {
      if (rank.code != 0) return rank.code;
    }
    return 0;
  }

 private:
  bool running() const {
    return std::ranges::any_of(ranks_, [](const LocalRank& rank) { return !rank.ended; });
  }

  void send(int signal) const {
    for (const LocalRank& rank : ranks_) {
      if (!rank.ended) kill(rank.process, signal);
    }
  }

  void look() {
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      LocalRank& one = ranks_[rank];
      int status = 0;
      if (one.ended || waitpid(one.process, &status, WNOHANG) != one.process) continue;
      one.ended = true;
      constexpr int of_signals = 128;
      one.code = WIFSIGNALED(status) ? of_signals + WTERMSIG(status) : WEXITSTATUS(status);
      if (one.code != 0) report(static_cast<int64_t>(rank), status);
    }
  }

  /// The first failure ends all others, unless a rank has said more of it already.
  void report(int64_t rank, int status) {
    if (std::exchange(failed_, true)) return;
    failed_at_ = std::chrono::steady_clock::now();
    const std::string sentence = fmt::format("{} {}", described_rank(keys_, rank), how_it_ended(status));
    if (WIFSIGNALED(status)) warn("{}", sentence);
    keys_.set_once(verdict_key, sentence);
  }

  RankStore store_, keys_;
  std::vector<LocalRank> ranks_;
  bool failed_ = false;
  std::chrono::steady_clock::time_point failed_at_;
};

}  // namespace

int64_t threads_of_rank(int64_t local_size) {
  cpu_set_t own;
  const bool known = sched_getaffinity(0, sizeof own, &own) == 0;
  const bool bound = known && CPU_COUNT(&own) < sysconf(_SC_NPROCESSORS_ONLN);
  const char* launcher = std::getenv(launcher_variable);
  if (bound && !launcher) return thread_count();
  const char* told = launcher ? std::getenv(sharing_variable) : nullptr;
  const int64_t sharing = told ? std::max(1, std::atoi(told)) : local_size;
  return std::max<int64_t>(1, thread_count() / sharing);
}

int run_local_processes(int64_t count) {
  // The store writes to processes that may have ended.
  std::signal(SIGPIPE, SIG_IGN);
  return LocalRun(count).to_the_end();
}

void end_with_launcher() {
  const char* launcher = std::getenv(launcher_variable);
  if (!launcher) return;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (fmt::to_string(getppid()) != launcher) std::raise(SIGTERM);  // it has ended already
}

}  // namespace lowrank
