#pragma once

#include <ATen/core/Tensor.h>

#include "model/checkpoint.h"

namespace lowrank {

/// Errors: invalid, listing every tensor of one model that the other lacks or has in another shape.
void check_tuned_form(const Checkpoint& base, const Checkpoint& tuned);

/// True for a tensor that a model's files hold: a tied head is none of them.
bool is_stored(const Checkpoint& model, const TensorRef& tensor);

/// The tensor's values, f32 in its shape. Errors: invalid for values that are not finite.
at::Tensor finite_values(const Checkpoint& model, const TensorRef& tensor);

/// W' - W, what was added to a tensor of the base, f32 in its shape; both models have it. Errors: as
/// finite_values.
at::Tensor change_of(const Checkpoint& base, const Checkpoint& tuned, const TensorRef& tensor);

}  // namespace lowrank
