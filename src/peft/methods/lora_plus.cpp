// LoRA+ (Hayou et al. 2024, arXiv 2402.12354): LoRA in which B's learning rate is `lr_ratio` times A's. Files
// are LORA files; how they were trained is recorded beside them (peft/files/method_record.h).
#include "peft/core/registry.h"
#include "peft/low_rank/low_rank_method.h"

namespace lowrank {
namespace {

std::unique_ptr<Method> make() {
  const auto ratio = std::make_shared<double>(16);
  LowRankVariant variant;
  variant.fields = {limited(field("lr_ratio", *ratio, "learning rate of B divided by that of A"), 1, 1e6)};
  variant.plan = [ratio](TrainPlan& plan, const LowRankUpdates&) {
    for (ParameterSpec& parameter : plan.parameters) {
      // One-dimensional parameters (biases) count as B, as in PEFT's optimizer.
      const bool is_b = parameter.name.find("lora_B") != std::string::npos || parameter.shape.size() == 1;
      if (is_b) parameter.learning_rate_scale = *ratio;
    }
  };
  return make_low_rank_method(std::move(variant));
}

constexpr OptionExample examples[] = {
    {"ratio", R"({"lr_ratio": 4, "dropout": 0.3})"},
};

}  // namespace

extern const MethodInfo lora_plus_method;
const MethodInfo lora_plus_method{"lora_plus",
                                  "Hayou et al. 2024, arXiv 2402.12354",
                                  "low-rank update whose B learns faster than A",
                                  1e-4,
                                  make,
                                  nullptr,
                                  examples};

}  // namespace lowrank
