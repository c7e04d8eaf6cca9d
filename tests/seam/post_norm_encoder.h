#pragma once

#include <ATen/core/Tensor.h>

#include "model/hooks.h"
#include "model/linear.h"
#include "model/spec.h"

namespace lowrank::test {

/// A small random encoder in BERT's arrangement: h = norm(h + branch(h)), attention without a causal mask,
/// GELU. It calls the hooks where a family would.
class PostNormEncoder {
 public:
  explicit PostNormEncoder(at::ScalarType type);
  const ModelSpec& spec() const { return spec_; }
  /// The last hidden state, [T, d].
  at::Tensor forward(const Context& context, const Hooks& hooks) const;

 private:
  struct Layer {
    at::Tensor qkv, out, up, down;
    Norm attention_norm, mlp_norm;
  };
  ModelSpec spec_;
  at::Tensor table_;
  std::vector<Layer> layers_;
};

/// Layer norm with the weights of this pass.
at::Tensor apply_norm(const Norm& norm, const Context& context, const Hooks& hooks, const at::Tensor& x);

}  // namespace lowrank::test
