#pragma once

#include <vector>

#include "model/hooks.h"
#include "peft/files/adapter_file.h"

namespace lowrank {

/// True if the adapter can be trained in an AdapterGroup: all that it does is to add products of low-rank
/// factors to frozen linear layers, without dropout.
bool can_join_group(const Adapter& adapter);

/// Adapters that are trained in one pass of their base, each on its own sequences of a batch
/// (`Batch::adapters` numbers them as here, in ascending order). The products with the frozen weights are
/// then computed once for the rows of all. Gradients reach each adapter's own parameters.
class AdapterGroup final : public Hooks {
 public:
  /// The adapters, for which `can_join_group` holds, must outlive the group.
  explicit AdapterGroup(std::vector<const Adapter*> adapters) : adapters_(std::move(adapters)) {}

  std::vector<Patch> patches(const Place& place, const Module& module) const override;

 private:
  std::vector<const Adapter*> adapters_;
};

}  // namespace lowrank
