// LoRA+: B learns faster than A.
#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(LoraPlus, OnlyBHasTheRatio) {
  const test::MethodFormula lora_plus("lora_plus", {{"lr_ratio", 8}, {"lora_bias", true}});
  for (const ParameterSpec& parameter : lora_plus.adapter.parameters->specs()) {
    const bool is_b = parameter.name.find("lora_B") != std::string::npos;
    EXPECT_EQ(parameter.learning_rate_scale, is_b ? 8 : 1) << parameter.name;
  }
}

}  // namespace
}  // namespace lowrank
