#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace lowrank {

/// Which of the processes of a run this one is, as its launcher says, and where they meet.
struct RankPlace {
  int64_t rank = 0, size = 1;
  int64_t local_rank = 0, local_size = 1;  ///< among the processes of this machine
  std::string address = "127.0.0.1";       ///< of the store through which the ranks find each other
  int port = 29500;
  bool store_elsewhere = false;  ///< the launcher keeps the store; otherwise rank 0 does
  std::string attempt = {};      ///< of a launcher that starts failed runs again: which start this is

  bool leads() const { return rank == 0; }
};

/// The value of an environment variable; nullptr if it is not set.
using EnvironmentLookup = std::function<const char*(const char* name)>;

/// The place that the environment gives this process: by the variables of `torchrun` (RANK, WORLD_SIZE,
/// LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT), else of Open MPI's `mpirun`
/// (OMPI_COMM_WORLD_*), else of a step of Slurm's `srun` (SLURM_PROCID, SLURM_STEP_NUM_TASKS, ...). The
/// address is MASTER_ADDR; without it, the first node of a Slurm step, or this machine if all ranks are here.
/// nullopt for a single process. Errors: invalid, naming all variables that are missing or wrong.
std::optional<RankPlace> rank_place(const EnvironmentLookup& environment);

/// The first host of a Slurm list such as `node[07-09,12],login`. Errors: invalid for an empty one.
std::string first_host(const std::string& hosts);

}  // namespace lowrank
