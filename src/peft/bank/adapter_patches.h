#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/hooks.h"
#include "peft/files/adapter_file.h"

namespace lowrank {

/// The patches of an adapter's modules, computed once for inference.
using AdapterPatches = std::map<const Module*, std::vector<Patch>>;

/// True if all that the planned method does is to add products of low-rank factors to linear layers, so that
/// a factor on their scales scales its whole effect.
bool has_scale(const Method& method);

/// Errors: unsupported for an adapter that replaces tensors of the base, with advice.
void check_shares_base(std::string_view name, const MethodInfo& info, const TrainPlan& plan);

/// The patches of a loaded adapter with A and s B^T stored contiguously, in the order in which passes read
/// them. `factor`: on all scales. Errors: unsupported for a factor other than 1 on an adapter without a
/// scale, called `name`.
AdapterPatches adapter_patches(const Adapter& adapter, double factor, std::string_view name);

}  // namespace lowrank
