#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "model/spec.h"

namespace lowrank {

/// AdapterHub's BnConfig for bottleneck adapters: where they are inserted and what they compute.
struct BottleneckConfig {
  bool attention = false;           ///< mh_adapter: one after attention
  bool mlp = true;                  ///< output_adapter: one after the MLP
  bool is_parallel = false;         ///< the input is the stream at the start of the branch
  bool original_ln_before = false;  ///< the input is the sum (normed in post-norm models), else the branch
  bool after_layer = false;  ///< added after everything else: residual_before_ln and original_ln_after off
  bool ln_before = false;    ///< a separate LayerNorm at the input
  double reduction_factor = 16;  ///< k = floor(d / this), at least 1
  int64_t bottleneck_size = 0;   ///< k itself; 0: from the reduction factor
  std::string non_linearity = "relu";
  std::string init_weights = "bert";
  double scaling = 1;
  std::string scaling_type = "constant";  ///< or learned (a scalar) or channel (a vector), both initially one
  double dropout = 0;                     ///< of the adapter's output
  std::vector<int64_t> leave_out;         ///< layers without adapters
  bool phm_layer = false;                 ///< Compacter's matrices, sums of Kronecker products
  int64_t phm_dim = 4, phm_rank = 1;
  bool shared_phm_rule = true;
  double phm_init_range = 1e-4;

  /// The options, without those that only apply to some methods (init_weights, PHM).
  std::vector<Field> fields();
  std::vector<Field> phm_fields();

  /// k for hidden states of d values; with PHM rounded up to a multiple of phm_dim. Errors: invalid when d or
  /// bottleneck_size does not fit.
  int64_t size(int64_t hidden) const;

  /// AdapterHub's complete `config` object for a model, with a reduction factor that gives k.
  nlohmann::json to_json(const ModelSpec& spec) const;
};

/// The configuration in an AdapterHub adapter_config.json, only the fields that identify the method
/// (placement, PHM, non-linearity, init_weights); nothing if it is not for bottlenecks.
std::optional<BottleneckConfig> bottleneck_config_in(const nlohmann::json& file);

/// The complete configuration. Errors: invalid or unsupported, listing all fields that cannot be honoured.
BottleneckConfig read_bottleneck_config(const nlohmann::json& file, const std::string& where);

}  // namespace lowrank
