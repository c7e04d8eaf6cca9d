#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/hooks.h"
#include "model/spec.h"
#include "peft/bottleneck/bottleneck_config.h"

namespace lowrank {

/// A place of a bottleneck.
struct BottleneckSite {
  int layer = 0;
  Role branch = Role::down;  ///< attention_out or down
  std::string path;          ///< of AdapterHub's module there, `transformer.h.0.output_adapters`

  /// Prefix of the names of an adapter's tensors.
  std::string adapter_prefix(const std::string& name) const { return path + ".adapters." + name + "."; }
  /// The same for a fusion of several adapters; `name` is their names joined with commas.
  std::string fusion_prefix(const std::string& name) const {
    return path + ".adapter_fusion_layer." + name + ".";
  }
};

/// The places of a configuration in a model, by layer. Errors: invalid when there are none, or `leave_out`
/// names a layer that does not exist.
std::vector<BottleneckSite> bottleneck_sites(const ModelSpec& spec, const BottleneckConfig& config);

/// The name of the PHM rule that all places of an adapter share.
std::string shared_rule_name(const ModelSpec& spec, const std::string& adapter);

/// A bottleneck's input, [T, d] of type `type`: the branch's output `out`, the stream `in` at the start of
/// the branch (parallel), or their sum, in post-norm models after the frozen norm that follows it.
at::Tensor bottleneck_input(const BottleneckConfig& config, const Context& context, const Hooks& hooks,
                            const Site& site, const at::Tensor& in, const at::Tensor& out,
                            at::ScalarType type);

}  // namespace lowrank
