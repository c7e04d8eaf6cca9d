#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "model/spec.h"

namespace lowrank {

/// What AdapterHub's BnConfig says of bottleneck adapters: where they stand and how they compute.
struct BottleneckConfig {
  bool attention = false;           ///< mh_adapter: one after attention
  bool mlp = true;                  ///< output_adapter: one after the MLP
  bool is_parallel = false;         ///< the input is the stream where the branch began
  bool original_ln_before = false;  ///< the input is the sum (on post-norm models its norm), else the branch
  bool after_layer = false;  ///< added behind everything else: residual_before_ln and original_ln_after off
  bool ln_before = false;    ///< a LayerNorm of its own at the input
  double reduction_factor = 16;  ///< k = floor(d / this), at least 1
  int64_t bottleneck_size = 0;   ///< k itself; 0: by the reduction factor
  std::string non_linearity = "relu";
  std::string init_weights = "bert";
  double scaling = 1;
  std::string scaling_type = "constant";  ///< or learned (a scalar) or channel (a vector), which start at one
  double dropout = 0;                     ///< of the adapter's output
  std::vector<int64_t> leave_out;         ///< layers without adapters
  bool phm_layer = false;                 ///< Compacter's matrices, sums of Kronecker products
  int64_t phm_dim = 4, phm_rank = 1;
  bool shared_phm_rule = true;
  double phm_init_range = 1e-4;

  /// The options, but for those that only make sense with the others' values (init_weights, PHM).
  std::vector<Field> fields();
  std::vector<Field> phm_fields();

  /// k for hidden states of d values; with PHM a multiple of phm_dim, rounded up. Errors: invalid when d or k
  /// does not fit.
  int64_t size(int64_t hidden) const;

  /// AdapterHub's `config` object for a model, every field of it; the reduction factor is one that gives k.
  nlohmann::json to_json(const ModelSpec& spec) const;
};

/// The configuration in an adapter_config.json of AdapterHub, as far as its placement goes; nothing when it
/// is none of bottlenecks.
std::optional<BottleneckConfig> bottleneck_config_in(const nlohmann::json& file);

/// The same with everything else. Errors: invalid or unsupported, all fields that cannot be honoured at once.
BottleneckConfig read_bottleneck_config(const nlohmann::json& file, const std::string& where);

}  // namespace lowrank
