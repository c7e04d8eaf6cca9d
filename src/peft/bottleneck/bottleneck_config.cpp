#include "peft/bottleneck/bottleneck_config.h"

#include <cmath>
#include <limits>
#include <map>

#include <fmt/ranges.h>

#include "base/error.h"
#include "peft/bottleneck/bottleneck_activation.h"
#include "peft/core/adapted_modules.h"
#include "peft/core/target_options.h"

namespace lowrank {
namespace {

/// Python's d // factor on floats, with which AdapterHub computes k.
int64_t floored(int64_t hidden, double factor) {
  const auto d = static_cast<double>(hidden);
  return static_cast<int64_t>(std::round((d - std::fmod(d, factor)) / factor));
}

/// A factor with floored(hidden, factor) == size.
double factor_of(int64_t hidden, int64_t size) {
  double factor = static_cast<double>(hidden) / static_cast<double>(size);
  // Because of rounding, a multiple of the quotient may be just above d.
  while (floored(hidden, factor) < size) factor = std::nextafter(factor, 0);
  return factor;
}

bool flag(const nlohmann::json& config, const char* key, bool standard) {
  const auto found = config.find(key);
  return found != config.end() && found->is_boolean() ? found->get<bool>() : standard;
}

/// Fields that must hold one of these values, as AdapterHub computes something else with others.
std::map<std::string, std::vector<nlohmann::json>> neutral_fields(bool phm) {
  std::map<std::string, std::vector<nlohmann::json>> fields = {{"ln_after", {false}},
                                                               {"adapter_residual_before_ln", {false}},
                                                               {"cross_adapter", {false}},
                                                               {"inv_adapter", {nullptr}},
                                                               {"use_gating", {false}},
                                                               {"stochastic_depth", {0.0, 0}},
                                                               {"invertible_adapter", {nullptr}}};
  if (!phm) return fields;
  fields["factorized_phm_W"] = {true};
  fields["factorized_phm_rule"] = {false};
  fields["shared_W_phm"] = {false};
  fields["phm_bias"] = {true};
  fields["learn_phm"] = {true};
  return fields;
}

void check_placement(const nlohmann::json& config, const BottleneckConfig& c, const std::string& where) {
  const bool residual = flag(config, "residual_before_ln", true);
  const bool after = flag(config, "original_ln_after", true);
  check(!config.contains("residual_before_ln") || config["residual_before_ln"].is_boolean(),
        ErrorKind::unsupported, "{}: residual_before_ln {} is not supported", where,
        config.value("residual_before_ln", nlohmann::json()).dump());
  if (c.is_parallel) {
    check(after, ErrorKind::unsupported, "{}: is_parallel without original_ln_after is not supported", where);
    return;
  }
  check(
      residual == after && (residual || c.original_ln_before), ErrorKind::unsupported,
      "{}: residual_before_ln {}, original_ln_before {} and original_ln_after {} together are not supported",
      where, residual, c.original_ln_before, after);
}

}  // namespace

std::vector<Field> BottleneckConfig::fields() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return {
      limited(field("reduction_factor", reduction_factor,
                    "d / k, the hidden size divided by the bottleneck size"),
              1e-3, infinity),
      limited(field("bottleneck_size", bottleneck_size, "k; 0: from the reduction factor"), 0, 1 << 20),
      one_of(field("non_linearity", non_linearity, "the function between the two matrices"),
             activation_names()),
      limited(field("scaling", scaling, "s, the factor on the adapter's output"), -infinity, infinity),
      one_of(field("scaling_type", scaling_type,
                   "constant: s; learned: a trained scalar; channel: one per channel; both are initially 1"),
             {"constant", "learned", "channel"}),
      limited(field("dropout", dropout, "share of the adapter's output that is zeroed in training"), 0, 0.99),
      field("mh_adapter", attention, "an adapter after attention"),
      field("output_adapter", mlp, "an adapter after the MLP"),
      field("leave_out", leave_out, "layers without adapters (permanent AdapterDrop, arXiv 2010.11918)"),
  };
}

std::vector<Field> BottleneckConfig::phm_fields() {
  return {limited(field("phm_dim", phm_dim, "n: terms of each sum, which divides d and k"), 1, 1024),
          limited(field("phm_rank", phm_rank, "rank of the larger factors"), 1, 1 << 20),
          field("shared_phm_rule", shared_phm_rule, "all layers share the small factors"),
          limited(field("phm_init_range", phm_init_range,
                        "standard deviation of the initial values of the shared small factors"),
                  0, 1)};
}

int64_t BottleneckConfig::size(int64_t hidden) const {
  int64_t size =
      bottleneck_size > 0 ? bottleneck_size : std::max<int64_t>(1, floored(hidden, reduction_factor));
  if (!phm_layer) return size;
  check(hidden % phm_dim == 0, ErrorKind::invalid, "phm_dim {} does not divide the model's hidden size {}",
        phm_dim, hidden);
  check(bottleneck_size % phm_dim == 0, ErrorKind::invalid, "phm_dim {} does not divide bottleneck_size {}",
        phm_dim, bottleneck_size);
  return (size + phm_dim - 1) / phm_dim * phm_dim;
}

nlohmann::json BottleneckConfig::to_json(const ModelSpec& spec) const {
  const int64_t hidden = spec.hidden_size;
  const int64_t k = size(hidden);
  const bool exact = std::max<int64_t>(1, floored(hidden, reduction_factor)) == k;
  return {{"mh_adapter", attention},
          {"output_adapter", mlp},
          {"is_parallel", is_parallel},
          {"original_ln_before", original_ln_before},
          {"original_ln_after", !after_layer},
          {"residual_before_ln", !after_layer},
          {"adapter_residual_before_ln", false},
          {"ln_before", ln_before},
          {"ln_after", false},
          {"reduction_factor", json_number(exact ? reduction_factor : factor_of(hidden, k))},
          {"non_linearity", non_linearity},
          {"init_weights", init_weights == "normal" ? "houlsby" : init_weights},
          {"init_weights_seed", nullptr},
          {"scaling", scaling_type == "constant" ? nlohmann::json(scaling) : nlohmann::json(scaling_type)},
          {"dropout", dropout},
          {"leave_out", leave_out},
          {"cross_adapter", false},
          {"inv_adapter", nullptr},
          {"inv_adapter_reduction_factor", nullptr},
          {"use_gating", false},
          {"stochastic_depth", 0.0},
          {"phm_layer", phm_layer},
          {"phm_dim", phm_dim},
          {"phm_rank", phm_rank},
          {"shared_phm_rule", shared_phm_rule},
          {"phm_init_range", phm_init_range},
          {"phm_bias", true},
          {"phm_c_init", "normal"},
          {"learn_phm", true},
          {"factorized_phm_W", true},
          {"factorized_phm_rule", false},
          {"shared_W_phm", false},
          {"hypercomplex_nonlinearity", "glorot-uniform"}};
}

std::optional<BottleneckConfig> bottleneck_config_in(const nlohmann::json& file) {
  const auto found = file.find("config");
  if (found == file.end() || !found->is_object()) return std::nullopt;
  const nlohmann::json& config = *found;
  if (is_given(config, "architecture") || !config.contains("reduction_factor")) return std::nullopt;
  BottleneckConfig c;
  c.attention = flag(config, "mh_adapter", false);
  c.mlp = flag(config, "output_adapter", false);
  c.is_parallel = flag(config, "is_parallel", false);
  c.original_ln_before = !c.is_parallel && flag(config, "original_ln_before", false);
  c.after_layer = !c.is_parallel && !flag(config, "original_ln_after", true);
  c.ln_before = flag(config, "ln_before", false);
  c.phm_layer = flag(config, "phm_layer", false);
  for (const auto& [key, value] :
       {std::pair{"non_linearity", &c.non_linearity}, {"init_weights", &c.init_weights}}) {
    if (config.contains(key) && config[key].is_string()) *value = config[key].get<std::string>();
  }
  return c;
}

BottleneckConfig read_bottleneck_config(const nlohmann::json& file, const std::string& where) {
  std::optional<BottleneckConfig> found = bottleneck_config_in(file);
  check(found.has_value(), ErrorKind::unsupported, "{}: no configuration of bottleneck adapters", where);
  BottleneckConfig& c = *found;
  const nlohmann::json& config = file["config"];
  require_neutral(config, neutral_fields(c.phm_layer), where);
  check_placement(config, c, where);
  check(config["reduction_factor"].is_number(), ErrorKind::unsupported,
        "{}: a reduction_factor for each layer is not supported", where);
  nlohmann::json options = given_values(config, {{"reduction_factor", "reduction_factor"},
                                                 {"non_linearity", "non_linearity"},
                                                 {"dropout", "dropout"},
                                                 {"leave_out", "leave_out"}});
  if (is_given(config, "scaling"))
    options[config["scaling"].is_string() ? "scaling_type" : "scaling"] = config["scaling"];
  apply(c.fields(), options, where);
  if (!c.phm_layer) return c;
  apply(c.phm_fields(),
        given_values(config, {{"phm_dim", "phm_dim"},
                              {"phm_rank", "phm_rank"},
                              {"shared_phm_rule", "shared_phm_rule"},
                              {"phm_init_range", "phm_init_range"}}),
        where);
  return c;
}

}  // namespace lowrank
