#include "cli/processes/memory_nodes.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>
#include <sched.h>
#include <string>
#include <string_view>
#include <system_error>

namespace lowrank {
namespace {

namespace fs = std::filesystem;

/// "0-3,8" as 0, 1, 2, 3, 8; nothing if it is something else.
std::optional<std::vector<int>> numbers_of(std::string_view list) {
  std::vector<int> numbers;
  const char *at = list.data(), *const end = at + list.size();
  const auto number = [&](int& into) {
    const auto [next, error] = std::from_chars(at, end, into);
    at = next;
    return error == std::errc() && into >= 0 && into < CPU_SETSIZE;
  };
  while (at < end) {
    int first = 0, last = 0;
    if (!number(first)) return std::nullopt;
    last = first;
    if (at < end && *at == '-') {
      ++at;
      if (!number(last) || last < first) return std::nullopt;
    }
    for (int one = first; one <= last; ++one) numbers.push_back(one);
    if (at < end && *at++ != ',') return std::nullopt;
  }
  return numbers;
}

cpu_set_t set_of(std::span<const int> processors) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int processor : processors) CPU_SET(processor, &set);
  return set;
}

}  // namespace

std::vector<int> usable_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {};
  std::vector<int> found;
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (CPU_ISSET(processor, &set)) found.push_back(processor);
  }
  return found;
}

std::vector<std::vector<int>> memory_nodes(const fs::path& folder, std::span<const int> usable) {
  std::vector<std::vector<int>> nodes;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("node") || name.find_first_not_of("0123456789", 4) != std::string::npos) continue;
    std::ifstream file(entry.path() / "cpulist");
    std::string list;
    std::getline(file, list);
    const std::optional<std::vector<int>> all = numbers_of(list);
    if (!file.is_open() || !all) return {};
    std::vector<int> own;
    std::ranges::set_intersection(*all, usable, std::back_inserter(own));
    if (!own.empty()) nodes.push_back(std::move(own));
  }
  std::ranges::sort(nodes);
  return nodes;
}

std::vector<ProcessPlace> places_of_processes(const std::vector<std::vector<int>>& nodes, int64_t count) {
  const auto parts = std::ssize(nodes);
  const bool even = std::ranges::all_of(
      nodes, [&](const std::vector<int>& node) { return node.size() == nodes.front().size(); });
  std::vector<ProcessPlace> places(count, {{}, count});
  if (parts < 2 || !even || count % parts != 0) return places;
  const int64_t sharing = count / parts;
  for (int64_t process = 0; process < count; ++process) places[process] = {nodes[process / sharing], sharing};
  return places;
}

BoundTo::BoundTo(std::span<const int> processors) {
  if (processors.empty()) return;
  before_ = usable_processors();
  const cpu_set_t set = set_of(processors);
  holds_ = sched_setaffinity(0, sizeof set, &set) == 0;
}

BoundTo::~BoundTo() {
  if (!holds_ || before_.empty()) return;
  const cpu_set_t set = set_of(before_);
  sched_setaffinity(0, sizeof set, &set);
}

}  // namespace lowrank
