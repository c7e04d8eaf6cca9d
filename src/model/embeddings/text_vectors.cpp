#include "model/embeddings/text_vectors.h"

#include <ATen/TensorOperators.h>

namespace lowrank {

at::Tensor unit_rows(const at::Tensor& rows) {
  constexpr double smallest = 1e-12;  // torch.nn.functional.normalize's
  return rows / rows.norm(2, {1}, true).clamp_min(smallest);
}

at::Tensor text_vectors(const Model& model, const Context& context, const Hooks& hooks,
                        const EmbeddingForm& form) {
  at::Tensor vectors = sequence_embeddings(model, context, hooks, form.pooling);
  for (const DenseLayer& layer : form.dense) vectors = layer(vectors);
  return form.normalised ? unit_rows(vectors) : vectors;
}

}  // namespace lowrank
