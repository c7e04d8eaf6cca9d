#pragma once

#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/products/patch.h"

// The inverses of patched_weight and patched_bias (kernels/products/patched_product.h), with which a merged
// adapter is taken out of a model again. In all of them `name` is the tensor's, for errors.
namespace lowrank {

/// The weight W [out, in], f32, that these patches turn into `merged`. Sums are subtracted and scales are
/// divided by; maps (close to orthogonal) and updates U(W) that depend on W are inverted by iteration.
/// Errors: invalid when a scale is zero or an iteration does not converge.
at::Tensor unpatched_weight(const std::string& name, const at::Tensor& merged,
                            const std::vector<Patch>& patches);

/// The bias [out] that these patches turn into `merged`. Errors: as unpatched_weight.
at::Tensor unpatched_bias(const std::string& name, const at::Tensor& merged,
                          const std::vector<Patch>& patches);

/// The x with f(x) = `value` for a linear (or affine) f close to the identity: x <- x + value - f(x) until
/// the rest is rounding. Errors: invalid when it does not converge.
at::Tensor inverse_by_iteration(const std::string& name, const at::Tensor& value,
                                const std::function<at::Tensor(const at::Tensor&)>& f);

}  // namespace lowrank
