#include "model/decoders/decoder_layer.h"

#include <initializer_list>
#include <vector>

#include "model/decoders/decoder_spec.h"

namespace lowrank {

Norm DecoderLoader::norm(const std::string& prefix, const PartName& part) const {
  if (!part) return {};
  const std::string name = prefix + std::string(part.name);
  return load_norm(checkpoint_, options_, name + ".weight", config_.layer_norm ? name + ".bias" : "",
                   config_.epsilon, config_.norm_offset);
}

DecoderLayer DecoderLoader::layer(int64_t index) const {
  const DecoderNames& n = config_.names;
  const std::string prefix = layer_prefix(n, index);
  const auto linear = [&](std::initializer_list<PartName> parts) {
    std::vector<std::string> names;
    for (const PartName& part : parts) names.push_back(prefix + std::string(part.name));
    return load_linear(checkpoint_, options_, names);
  };
  const MixerKind* mixer = config_.mixer_of(index);
  const bool sparse = config_.experts.in(index);
  const TensorRef* sinks =
      n.sinks ? checkpoint_.spec().find_tensor(prefix + std::string(n.sinks.name)) : nullptr;
  const bool frozen_sinks = sinks && options_.use_of(*sinks) == TensorUse::frozen;
  return {mixer               ? Linear()
          : n.query_key_value ? linear({n.query_key_value})
                              : linear({n.query, n.key, n.value}),
          mixer ? Linear() : linear({n.attention_out}),
          sparse      ? Linear()
          : n.gate_up ? linear({n.gate_up})
          : n.gate    ? linear({n.gate, n.up})
                      : linear({n.up}),
          sparse ? Linear() : linear({n.down}),
          norm(prefix, n.before_attention),
          norm(prefix, n.after_attention),
          norm(prefix, n.before_mlp),
          norm(prefix, n.after_mlp),
          mixer ? Norm() : norm(prefix, n.query_norm),
          mixer ? Norm() : norm(prefix, n.key_norm),
          mixer ? mixer->load(checkpoint_, options_, prefix) : nullptr,
          sparse ? std::optional(load_experts(checkpoint_, options_, config_.experts, index)) : std::nullopt,
          sinks,
          frozen_sinks ? checkpoint_.read(*sinks, options_.compute == at::kDouble ? at::kDouble : at::kFloat,
                                          options_.device)
                       : at::Tensor()};
}

}  // namespace lowrank
