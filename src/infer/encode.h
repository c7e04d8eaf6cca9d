#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/model.h"

namespace lowrank {

/// How a text's embedding is made of its hidden states.
struct EmbeddingForm {
  Pooling pooling = Pooling::mean;
  bool normalised = false;  ///< to length 1
};

/// What a sentence-transformers folder asks for (modules.json and its pooling folder); the mean, not
/// normalised, for any other model. Errors: corrupt; unsupported for other poolings and modules.
EmbeddingForm embedding_form(const std::filesystem::path& model);

/// What the label head says of each text (token ids, not empty), `batch_size` at a time: [N, outputs] f32.
/// Errors: invalid for texts longer than the model's context; interrupted.
at::Tensor score_texts(const Model& model, const Hooks& hooks, std::span<const std::vector<int64_t>> texts,
                       int64_t batch_size);

/// One vector a text: [N, d] f32. Errors: as score_texts.
at::Tensor embed_texts(const Model& model, const Hooks& hooks, std::span<const std::vector<int64_t>> texts,
                       int64_t batch_size, const EmbeddingForm& form);

}  // namespace lowrank
