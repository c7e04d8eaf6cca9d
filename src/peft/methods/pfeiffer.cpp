// One bottleneck adapter per layer, after the MLP (Pfeiffer et al. 2020, arXiv 2005.00247, section 3.3 of
// AdapterFusion).
//   With y the branch's output and h the stream at its start: h + y + u(h + y); in post-norm models
//   LN(h + y + u(LN(h + y))), the same frozen norm twice. u as in houlsby.cpp.
// Files are AdapterHub's (seq_bn, formerly pfeiffer).
#include "peft/bottleneck/bottleneck_method.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

std::unique_ptr<Method> make() {
  BottleneckConfig config;
  config.original_ln_before = true;
  return make_bottleneck_method(config, {"bert", "houlsby", "mam_adapter"});
}

bool reads(const nlohmann::json& file) {
  const auto config = bottleneck_config_in(file);
  return config && !config->phm_layer && !config->is_parallel && !config->after_layer &&
         config->original_ln_before;
}

constexpr OptionExample examples[] = {
    {"dropout", R"({"dropout": 0.3})"},
    {"wide", R"({"bottleneck_size": 12, "scaling": 2})"},
};

}  // namespace

extern const MethodInfo pfeiffer_method;
const MethodInfo pfeiffer_method{"pfeiffer",
                                 "Pfeiffer et al. 2020, arXiv 2005.00247",
                                 "one bottleneck a layer, after the MLP",
                                 1e-3,
                                 make,
                                 reads,
                                 examples};

}  // namespace lowrank
