#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peft/bottleneck/bottleneck_config.h"
#include "peft/core/method.h"

namespace lowrank {

/// A method of bottleneck adapters: one network of two matrices at each place of `standard`, which also holds
/// the options' defaults. `starts`: the values of init_weights, the default first; empty: no choice. Files
/// are AdapterHub's. All of them support AdapterDrop (Rücklé et al. 2021, arXiv 2010.11918): `leave_out`
/// drops layers permanently, `adapter_drop` at random in each training step.
std::unique_ptr<Method> make_bottleneck_method(const BottleneckConfig& standard,
                                               std::vector<std::string> starts);

}  // namespace lowrank
