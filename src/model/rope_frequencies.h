#pragma once

#include <limits>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "kernels/operations/rope.h"
#include "model/sequence_layout.h"

namespace lowrank {

/// Inverse frequencies of rotary position embeddings, [rotary_dim / 2], and the factor on cosine and sine
/// that some scalings use. Some depend on a text's length.
struct RopeFrequencies {
  std::vector<float> inverse;  ///< for texts of up to `fixed_positions`
  float attention_factor = 1;
  int64_t fixed_positions = std::numeric_limits<int64_t>::max();
  std::vector<float> longer;      ///< for longer texts (longrope); empty: computed from `dynamic`
  double theta = 0, dynamic = 0;  ///< base, and the factor by which it grows with the length
  bool adjacent = false;          ///< as in RopeTable
  /// Query heads are multiplied by 1 + growth ln(1 + floor(position / growth_length)) (Llama 4's
  /// temperature); 0: not.
  double query_growth = 0;
  int64_t query_growth_length = 1;

  /// The frequencies for a text of `length` positions.
  std::vector<float> of_length(int64_t length) const;
};

/// From a Hugging Face configuration: `rope_theta` with `rope_scaling`, or `rope_parameters` (transformers
/// 5), of type `default`, `linear`, `llama3` (Llama 3.1's wavelength bands), `dynamic`, `yarn` (arXiv
/// 2309.00071) `longrope` (arXiv 2402.13753) or `proportional`. With f = theta^(-2k/r), k < r/2, the plain
/// frequencies, L0 original_max_position_embeddings and M max_position_embeddings:
///   linear    f / factor
///   dynamic   f of theta ((factor n/M) - (factor - 1))^(r/(r-2)), n = max(length, M)
///   yarn      f (1 - ramp) + f / factor ramp, ramp from 0 to 1 between the k that turn beta_fast and
///             beta_slow times within L0; cosine and sine times 0.1 ln(factor) + 1
///   longrope  f / short_factor, for texts beyond L0 f / long_factor; cosine and sine times
///             sqrt(1 + ln(factor) / ln(L0))
///   proportional  f / factor for k < int(partial_rotary_factor r/2), else 0
/// Errors: unsupported for other types, with the known ones; invalid parameters, the key named.
RopeFrequencies rope_frequencies(const nlohmann::json& config, int64_t rotary_dim);

/// The configuration with only the `rope_parameters` that it has for this type of layers; itself where it has
/// one set for all. Their `truncate` counts for nothing, as in transformers.
nlohmann::json with_rope_of(const nlohmann::json& config, const char* layer_type);

/// The number of a head's dimensions that rotate: the share `partial_rotary_factor` (all without it). Errors:
/// invalid unless it is an even number from 2 to the head's.
int64_t rotary_dimension(const nlohmann::json& config, int64_t head_dim);

/// The `rope_scaling` of type `llama3` whose frequencies are the plain ones divided by `factors` [rotary_dim
/// / 2] (the tensor rope_freqs.weight of GGUF files). Errors: unsupported when there is none; `where` names
/// the file.
nlohmann::json llama3_scaling(std::span<const float> factors, double theta, const std::string& where);

/// Cosines and sines of the rows of packed sequences, [T, rotary_dim / 2]: angle = position * inverse, in f32
/// as transformers computes it, each sequence with the frequencies of its own length; with factors on the
/// queries where some are not 1. On the device.
RopeTable rope_table(const RopeFrequencies& frequencies, const SequenceLayout& layout, at::Device device);

}  // namespace lowrank
