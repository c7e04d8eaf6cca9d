#pragma once

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/products/prepared_weight.h"
#include "model/hooks.h"
#include "model/spec.h"

namespace lowrank {

class Checkpoint;
struct LoadOptions;

/// One or more modules that take the same input, computed as one product: [q; k; v] or [gate; up].
/// Neighbouring modules whose weights are frozen share one packed matrix, whatever types the file stores them
/// in; a module whose weight is trained or generated stands alone and is never packed.
struct Linear {
  struct Part {
    const Module* module = nullptr;
    const TensorRef* weight = nullptr;
    const TensorRef* bias = nullptr;  ///< nullptr: none
    bool frozen_weight = true;
    bool frozen_bias = true;
    at::Tensor bias_value;  ///< [out], of a frozen bias
  };
  /// A run of parts with one packed matrix, or one part without.
  struct Run {
    size_t begin = 0, end = 0;                     ///< parts
    std::shared_ptr<const PreparedWeight> weight;  ///< null: the part's weight comes from `Hooks::weight`
  };

  std::vector<Part> parts;
  std::vector<Run> runs;

  int64_t in() const { return parts.front().module->in; }
  int64_t out() const;
};

/// Reads and packs the modules of the given names, in this order. A module's bias is used if the family's
/// table has one.
Linear load_linear(const Checkpoint& checkpoint, const LoadOptions& options,
                   const std::vector<std::string>& modules);

/// The frozen tensors' rows one below the other as blocks of the mapped file, of which no copy is made; null
/// if `options` ask for something else (training needs another form), or the file stores none in blocks or
/// some in a form that is changed when it is read. `source` supplies the rows.
std::shared_ptr<const PreparedWeight> weight_in_blocks(const Checkpoint& checkpoint,
                                                       const LoadOptions& options,
                                                       const std::vector<const TensorRef*>& tensors,
                                                       const RowSource& source);

/// Bytes that a frozen linear weight takes on a device: of its blocks where `options` keep them, else of its
/// values in the type of the products.
int64_t device_bytes(const Checkpoint& checkpoint, const LoadOptions& options, const TensorRef& tensor);

/// x [T, in] -> [T, out]: the product with every patch from the hooks; the T tokens are those of `place`.
at::Tensor apply(const Linear& linear, const Place& place, const Hooks& hooks, const at::Tensor& x);

/// A norm's weight (and bias, for layer norms), [d].
struct Norm {
  const TensorRef* weight = nullptr;
  const TensorRef* bias = nullptr;
  double epsilon = 0;
  bool frozen = true;
  double offset = 0;  ///< added to the stored weight
  at::Tensor weight_value, bias_value;
};

/// Errors: invalid when the table lacks the tensor. `bias` may be empty; `offset` is added to the weight.
Norm load_norm(const Checkpoint& checkpoint, const LoadOptions& options, const std::string& weight,
               const std::string& bias, double epsilon, double offset = 0);

/// The norm's weight in this pass: the file's or the method's. Likewise the bias (undefined where there is
/// none).
at::Tensor weight_of(const Norm& norm, const Context& context, const Hooks& hooks);
at::Tensor bias_of(const Norm& norm, const Context& context, const Hooks& hooks);

}  // namespace lowrank
