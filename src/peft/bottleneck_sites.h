#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/hooks.h"
#include "model/spec.h"
#include "peft/bottleneck_config.h"

namespace lowrank {

/// A place where a bottleneck stands.
struct BottleneckSite {
  int layer = 0;
  Role branch = Role::down;  ///< attention_out or down
  std::string path;          ///< of AdapterHub's module there, `transformer.h.0.output_adapters`

  /// What the names of an adapter's tensors begin with.
  std::string adapter_prefix(const std::string& name) const { return path + ".adapters." + name + "."; }
  /// The same for the fusion of several; `name` joins theirs with commas.
  std::string fusion_prefix(const std::string& name) const {
    return path + ".adapter_fusion_layer." + name + ".";
  }
};

/// The places of a configuration in a model, by layer. Errors: invalid when there are none, or `leave_out`
/// names a layer that is not there.
std::vector<BottleneckSite> bottleneck_sites(const ModelSpec& spec, const BottleneckConfig& config);

/// The name of the PHM rule that all places of an adapter share.
std::string shared_rule_name(const ModelSpec& spec, const std::string& adapter);

/// What a bottleneck reads, [T, d] of the type `type`: the branch's output `out`, the stream `in` where the
/// branch began (parallel), or their sum, on post-norm models through the frozen norm that follows it.
at::Tensor bottleneck_input(const BottleneckConfig& config, const Context& context, const Hooks& hooks,
                            const Site& site, const at::Tensor& in, const at::Tensor& out,
                            at::ScalarType type);

}  // namespace lowrank
