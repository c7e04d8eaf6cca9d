#pragma once

#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/embeddings/embedding_form.h"
#include "model/model.h"
#include "peft/bank/inference_hooks.h"

namespace lowrank {

/// The label head's scores for each text (token ids, not empty), `batch_size` at a time: [N, outputs] f32.
/// `type_one` [N]: how many of each text's tokens, at the end, have token type 1; empty: none. Errors:
/// invalid for texts longer than the model's context, and scores that are not finite; interrupted.
at::Tensor score_texts(const Model& model, const InferenceHooks& hooks,
                       std::span<const std::vector<int64_t>> texts, int64_t batch_size,
                       std::span<const int64_t> type_one = {});

/// One vector per text: [N, form.width(d)] f32. Errors: as score_texts.
at::Tensor embed_texts(const Model& model, const InferenceHooks& hooks,
                       std::span<const std::vector<int64_t>> texts, int64_t batch_size,
                       const EmbeddingForm& form, std::span<const int64_t> type_one = {});

}  // namespace lowrank
