// LoRA-FA (Zhang et al. 2023, arXiv 2308.03303): LoRA with A fixed at its initial values; only B is trained,
// which saves half the optimizer's state and the gradient of A. Files are LORA files.
#include "peft/core/registry.h"
#include "peft/low_rank/low_rank_method.h"

namespace lowrank {
namespace {

std::unique_ptr<Method> make() {
  LowRankVariant variant;
  variant.plan = [](TrainPlan& plan, const LowRankUpdates&) {
    for (ParameterSpec& parameter : plan.parameters) {
      parameter.frozen = parameter.name.find(".lora_A.") != std::string::npos ||
                         parameter.name.ends_with(".lora_embedding_A");
    }
  };
  return make_low_rank_method(std::move(variant));
}

constexpr OptionExample examples[] = {
    {"all_linear", R"({"target_modules": "all-linear", "dropout": 0.3})"},
};

}  // namespace

extern const MethodInfo lora_fa_method;
const MethodInfo lora_fa_method{"lora_fa",
                                "Zhang et al. 2023, arXiv 2308.03303",
                                "low-rank update with a frozen random A",
                                1e-3,
                                make,
                                nullptr,
                                examples};

}  // namespace lowrank
