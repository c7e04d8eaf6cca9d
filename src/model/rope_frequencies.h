#pragma once

#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "kernels/rope.h"

namespace lowrank {

/// Inverse frequencies of rotary position embeddings, and the factor on cosine and sine that some scalings
/// want.
struct RopeFrequencies {
  std::vector<float> inverse;  ///< [rotary_dim / 2]
  float attention_factor = 1;
};

/// From a Hugging Face configuration: `rope_theta` with `rope_scaling`, or `rope_parameters` (transformers
/// 5), of type `default`, `linear` or `llama3` (Llama 3.1's wavelength bands). Errors: unsupported for other
/// types, with the known ones.
RopeFrequencies rope_frequencies(const nlohmann::json& config, int64_t rotary_dim);

/// The `rope_scaling` of type `llama3` whose frequencies are the plain ones divided by `factors` [rotary_dim
/// / 2] (the tensor rope_freqs.weight of GGUF files). Errors: unsupported when there is none; `where` names
/// the file.
nlohmann::json llama3_scaling(std::span<const float> factors, double theta, const std::string& where);

/// Cosines and sines at each of the int64 positions [T], [T, rotary_dim / 2]: angle = position * inverse, in
/// f32 as transformers computes it.
RopeTable rope_table(const RopeFrequencies& frequencies, const at::Tensor& positions);

}  // namespace lowrank
