#include "model/gemma4/gemma4_layer.h"

#include <cmath>
#include <vector>

#include <ATen/TensorOperators.h>

#include "model/gemma4/gemma4_spec.h"

namespace lowrank {
namespace {

namespace part = gemma4_part;

}  // namespace

Norm Gemma4Loader::norm(const std::string& name) const {
  return load_norm(checkpoint_, options_, name + ".weight", "", config_.epsilon);
}

Linear Gemma4Loader::linear(const std::string& prefix, std::initializer_list<const char*> parts) const {
  std::vector<std::string> names;
  for (const char* name : parts) names.push_back(prefix + name);
  return load_linear(checkpoint_, options_, names);
}

Gemma4LayerParts Gemma4Loader::layer(int64_t number) const {
  const Gemma4Layer& shape = config_.layers[number];
  const std::string p = gemma4_layer_prefix(config_, number);
  const bool source = config_.is_source(number);
  Gemma4LayerParts l;
  l.query_key_value = !source              ? linear(p, {part::query})
                      : shape.value_is_key ? linear(p, {part::query, part::key})
                                           : linear(p, {part::query, part::key, part::value});
  l.out = linear(p, {part::attention_out});
  l.up = linear(p, {part::gate, part::up});
  l.down = linear(p, {part::down});
  l.before_attention = norm(p + part::before_attention);
  l.after_attention = norm(p + part::after_attention);
  l.before_mlp = norm(p + part::before_mlp);
  l.after_mlp = norm(p + part::after_mlp);
  l.heads = {config_.heads,
             shape.kv_heads,
             shape.head_dim,
             shape.value_is_key,
             config_.epsilon,
             norm(p + part::query_norm),
             source ? norm(p + part::key_norm) : Norm{}};
  const at::Tensor scalar = checkpoint_.read(*checkpoint_.spec().find_tensor(p + part::scalar), at::kFloat);
  l.scalar = scalar.const_data_ptr<float>()[0];
  if (config_.experts.count > 0) read_experts(l, p, number);
  if (config_.layer_input == 0) return l;
  l.input_gate = linear(p, {part::input_gate});
  l.input_projection = linear(p, {part::input_projection});
  l.after_input = norm(p + part::after_input);
  return l;
}

void Gemma4Loader::read_experts(Gemma4LayerParts& layer, const std::string& prefix, int64_t number) const {
  layer.experts = load_experts(checkpoint_, options_, config_.experts, number);
  const std::string scales = prefix + std::string(config_.experts.input_scales.name);
  layer.router_scales =
      checkpoint_.read(*checkpoint_.spec().find_tensor(scales),
                       options_.compute == at::kDouble ? at::kDouble : at::kFloat, options_.device) *
      (1 / std::sqrt(static_cast<double>(config_.hidden)));
  layer.before_experts = norm(prefix + part::before_experts);
  layer.after_experts = norm(prefix + part::after_experts);
  layer.after_dense = norm(prefix + part::after_dense);
}

}  // namespace lowrank
