#pragma once

#include <ATen/core/Tensor.h>

#include "model/embeddings/embedding_form.h"
#include "model/model.h"

namespace lowrank {

/// One vector per sequence of the batch, [S, form.width(d)], f32 (f64 in f64 models): its pooled last hidden
/// states, through the form's layers, scaled to length 1 if the form says so. Differentiable. The batch has
/// been through `hooks.layout`.
at::Tensor text_vectors(const Model& model, const Context& context, const Hooks& hooks,
                        const EmbeddingForm& form);

/// The rows of [S, d] scaled to length 1, as torch.nn.functional.normalize does.
at::Tensor unit_rows(const at::Tensor& rows);

}  // namespace lowrank
