#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "peft/core/method.h"

// What follows from the patches that a method puts on its adapted modules (kernels/products/patch.h), so that
// a method states its formula only once. For a method that is not bound yet, these use shapes alone.
namespace lowrank {

/// The module's patches in a pass without dropout, as in inference.
std::vector<Patch> plain_patches(const Method& method, const Module& module);

/// True when any patch has dropout in training, with a mask that differs from row to row.
bool patches_drop_rows(const Method& method);

/// True when merging the patches changes this weight or bias; always false if a branch is not linear.
bool patches_change(const Method& method, const TensorRef& tensor);

/// The weight [out, in] or bias [out] with the patches merged in.
at::Tensor with_patches(const Method& method, const TensorRef& tensor, const at::Tensor& value);

/// The inverse of `with_patches`: the weight or bias before merging. Errors: as unpatched_weight.
at::Tensor without_patches(const Method& method, const TensorRef& tensor, const at::Tensor& merged);

/// What the patches do to the module's weight as one update, if they only add factors to it; biases are left
/// aside. Nothing for other patches, and if there are none.
std::optional<LowRankUpdate> patch_factors(const Method& method, const Module& module);

/// The patches' factors as updates; what else the patches do, and what is trained beside them, in words.
LowRankForm low_rank_form_of(const Method& method);

/// Adds the cost per token of all modules: multiply-adds and kept values.
void add_patch_costs(const Method& method, TrainPlan& plan);

/// The first module to which the patches add a bias although the model has none there to merge it into;
/// nullptr if there is none.
const Module* module_without_bias(const Method& method, const ModelSpec& spec);

}  // namespace lowrank
