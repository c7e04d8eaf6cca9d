#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "peft/method.h"

// What follows from the patches that a method puts on its adapted modules (kernels/patch.h), so that it is
// written once, as the formula. Of a method that is not bound yet these hold as far as shapes tell.
namespace lowrank {

/// The module's patches in a pass without dropout, as inference has them.
std::vector<Patch> plain_patches(const Method& method, const Module& module);

/// True when some patch has dropout in training: its mask differs from row to row.
bool patches_drop_rows(const Method& method);

/// True when merging the patches changes this weight or bias; false for all where a branch is not linear.
bool patches_change(const Method& method, const TensorRef& tensor);

/// The weight [out, in] or bias [out] with the patches in it.
at::Tensor with_patches(const Method& method, const TensorRef& tensor, const at::Tensor& value);

/// Patches of factors as updates; what else they do, and what trains beside them, in words.
LowRankForm low_rank_form_of(const Method& method);

/// Adds what a token costs over all modules: multiply-adds and kept values.
void add_patch_costs(const Method& method, TrainPlan& plan);

/// The first module to whose product the patches add a bias although the model has none there to merge it
/// into; nullptr: there is none.
const Module* module_without_bias(const Method& method, const ModelSpec& spec);

}  // namespace lowrank
