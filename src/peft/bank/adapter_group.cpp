#include "peft/bank/adapter_group.h"

#include <algorithm>

#include "base/error.h"
#include "peft/bank/adapter_patches.h"

namespace lowrank {

bool can_join_group(const Adapter& adapter) {
  const auto frozen = [](const auto& use) { return use.second == TensorUse::frozen; };
  // Experts see the rows of their tokens alone.
  const auto in_expert = [](const Module* module) { return bool(module->expert); };
  return adapter.plan.context_rows == 0 && std::ranges::none_of(adapter.method->adapted(), in_expert) &&
         std::ranges::all_of(adapter.plan.uses, frozen) &&
         // What stands in its way is dropout, and rows that see what follows them.
         adapter.method->prefix_sharing_blocker().empty() && has_scale(*adapter.method);
}

std::vector<Patch> AdapterGroup::patches(const Place& place, const Module& module) const {
  const std::vector<int64_t>& numbers = place.context.batch->adapters;
  const std::vector<int64_t>& offsets = place.layout.offsets;
  check(!offsets.empty(), ErrorKind::invalid, "rows of several adapters are read in ascending order only");
  std::vector<Patch> all;
  for (size_t begin = 0, end = 0; begin < numbers.size(); begin = end) {
    end = begin + 1;
    while (end < numbers.size() && numbers[end] == numbers[begin]) ++end;
    if (offsets[begin] == offsets[end]) continue;
    for (Patch& patch : adapters_.at(numbers[begin])->method->patches(place, module)) {
      patch.first_token = offsets[begin];
      patch.end_token = offsets[end];
      all.push_back(std::move(patch));
    }
  }
  return all;
}

}  // namespace lowrank
