#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace lowrank {

/// The processors that this process may use, ascending; none if the system does not say.
std::vector<int> usable_processors();

/// Of a machine whose memory is in several parts (NUMA nodes), the processors beside each, among those that
/// are `usable`; nodes without any are left out. `folder`: where Linux lists them, `node0/cpulist` and so on
/// (Documentation/admin-guide/mm/numaperf.rst); in the order of their first processors. None if a list cannot
/// be read.
std::vector<std::vector<int>> memory_nodes(const std::filesystem::path& folder, std::span<const int> usable);

/// Where one of a machine's processes computes.
struct ProcessPlace {
  std::vector<int> processors;  ///< empty: on all
  int64_t sharing = 1;          ///< the processes that compute there
};

/// The places of `count` processes, in their order: as many on each node, so that what a process allocates
/// lies beside it. All of them are on all processors if there is one node, if the nodes have not equally many
/// processors, or if `count` is no multiple of the nodes.
std::vector<ProcessPlace> places_of_processes(const std::vector<std::vector<int>>& nodes, int64_t count);

/// While it lives, this thread, and what it starts, may use only these processors; empty: as before.
class BoundTo {
 public:
  explicit BoundTo(std::span<const int> processors);
  ~BoundTo();
  BoundTo(const BoundTo&) = delete;
  BoundTo& operator=(const BoundTo&) = delete;

  /// False for no processors, and where the system refuses.
  bool holds() const { return holds_; }

 private:
  bool holds_ = false;
  std::vector<int> before_;
};

}  // namespace lowrank
