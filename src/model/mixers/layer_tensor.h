#pragma once

#include <string>

#include <ATen/core/Tensor.h>

#include "model/hooks.h"
#include "model/model.h"

namespace lowrank {

/// A tensor of a mixer that is neither a linear module nor a norm: a convolution, a decay.
struct LayerTensor {
  const TensorRef* tensor = nullptr;
  at::Tensor value;  ///< f32 (f64 in f64 models); undefined where the method gives it

  /// The value in this pass.
  at::Tensor of(const Context& context, const Hooks& hooks) const {
    return value.defined() ? value : hooks.weight(context, *tensor);
  }
};

/// Errors: invalid when the table has no tensor of that name.
LayerTensor load_layer_tensor(const Checkpoint& checkpoint, const LoadOptions& options,
                              const std::string& name);

}  // namespace lowrank
