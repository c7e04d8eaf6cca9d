#include "train/ranks/rank_place.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include <fmt/ranges.h>

#include "base/error.h"

namespace lowrank {
namespace {

/// The names under which a launcher says the same things.
struct Launcher {
  const char *rank, *size, *local_rank, *local_size;
};

constexpr Launcher torchrun = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"};
constexpr Launcher mpirun = {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
                             "OMPI_COMM_WORLD_LOCAL_SIZE"};
// SLURM_NTASKS also stands in the environment of a batch script, which is not one of the tasks.
constexpr Launcher srun = {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID",
                           "SLURM_STEP_TASKS_PER_NODE"};

constexpr int64_t most_ranks = 1 << 16;
constexpr int64_t most_ports = 65535;

/// Reads numbers of the environment and gathers what is wrong with them.
class Numbers {
 public:
  explicit Numbers(const EnvironmentLookup& environment) : environment_(environment) {}

  std::optional<int64_t> find(const char* name, int64_t least, int64_t most) {
    const char* text = environment_(name);
    if (!text || !*text) return std::nullopt;
    std::string_view digits = text;
    // Slurm gives the tasks of each node: "2(x3),1".
    if (std::string_view(name) == srun.local_size) digits = digits.substr(0, digits.find_first_of("(,"));
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || value < least || value > most) {
      problems_.push_back(fmt::format("{} is '{}', not a number from {} to {}", name, text, least, most));
      return std::nullopt;
    }
    return value;
  }

  int64_t need(const char* name, const char* because, int64_t least, int64_t most) {
    const char* text = environment_(name);
    if (!text || !*text) problems_.push_back(fmt::format("{} is missing, while {} is set", name, because));
    return find(name, least, most).value_or(least);
  }

  void add(std::string problem) { problems_.push_back(std::move(problem)); }

  /// Errors: invalid if there was a problem.
  void end() const {
    if (problems_.empty()) return;
    throw Error(ErrorKind::invalid,
                fmt::format("the environment of this process is not one of a run of several: {}",
                            fmt::join(problems_, "; ")),
                "start it by torchrun, mpirun, srun or with `processes`, or unset these variables");
  }

 private:
  const EnvironmentLookup& environment_;
  std::vector<std::string> problems_;
};

bool has(const EnvironmentLookup& environment, const char* name) {
  const char* text = environment(name);
  return text && *text;
}

const Launcher* launcher_of(const EnvironmentLookup& environment) {
  for (const Launcher* one : {&torchrun, &mpirun, &srun}) {
    if (has(environment, one->size) || (one == &torchrun && has(environment, one->rank))) return one;
  }
  return nullptr;
}

/// Where the ranks of a launcher without MASTER_ADDR meet.
void find_meeting(const EnvironmentLookup& environment, const Launcher& launcher, RankPlace& place,
                  Numbers& numbers) {
  if (&launcher == &srun && has(environment, "SLURM_STEP_NODELIST")) {
    place.address = first_host(environment("SLURM_STEP_NODELIST"));
  } else if (place.local_size != place.size) {
    numbers.add("MASTER_ADDR is missing: the address of rank 0's machine");
  }
}

}  // namespace

std::string first_host(const std::string& hosts) {
  const size_t bracket = hosts.find('['), comma = hosts.find(',');
  std::string host = hosts.substr(0, std::min(bracket, comma));
  if (bracket < comma) {
    const size_t end = hosts.find_first_of("-,]", bracket);
    host += hosts.substr(bracket + 1, end == std::string::npos ? end : end - bracket - 1);
  }
  check(!host.empty(), ErrorKind::invalid, "'{}' is no list of machines", hosts);
  return host;
}

std::optional<RankPlace> rank_place(const EnvironmentLookup& environment) {
  const Launcher* launcher = launcher_of(environment);
  if (!launcher) return std::nullopt;
  Numbers numbers(environment);
  RankPlace place;
  place.size = numbers.need(launcher->size, launcher->rank, 1, most_ranks);
  place.rank = numbers.need(launcher->rank, launcher->size, 0, most_ranks - 1);
  if (place.rank >= place.size && place.size > 0)
    numbers.add(
        fmt::format("{} {} is not below {} {}", launcher->rank, place.rank, launcher->size, place.size));
  numbers.end();
  if (place.size == 1) return std::nullopt;
  place.local_rank = numbers.find(launcher->local_rank, 0, most_ranks - 1).value_or(0);
  place.local_size =
      numbers.find(launcher->local_size, 1, most_ranks).value_or(launcher == &torchrun ? place.size : 1);
  if (has(environment, "MASTER_ADDR"))
    place.address = environment("MASTER_ADDR");
  else
    find_meeting(environment, *launcher, place, numbers);
  place.port = static_cast<int>(numbers.find("MASTER_PORT", 1, most_ports).value_or(place.port));
  const char* elsewhere = environment("TORCHELASTIC_USE_AGENT_STORE");
  place.store_elsewhere = elsewhere && std::string_view(elsewhere) == "True";
  if (has(environment, "TORCHELASTIC_RESTART_COUNT"))
    place.attempt = environment("TORCHELASTIC_RESTART_COUNT");
  numbers.end();
  return place;
}

}  // namespace lowrank
