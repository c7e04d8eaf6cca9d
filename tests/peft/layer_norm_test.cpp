// The norms, under PEFT's keys.
#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(LayerNorm, TrainsAllNormsUnderPeftsKeys) {
  const test::MethodFormula norms("layer_norm");
  EXPECT_EQ(norms.adapter.parameters->count(), 5 * 32);
  EXPECT_NO_THROW(norms.adapter.parameters->at("base_model.model.model.norm.ln_tuning_layers.weight"));
  EXPECT_NO_THROW(norms.adapter.parameters->at(
      "base_model.model.model.layers.1.input_layernorm.ln_tuning_layers.weight"));
  const nlohmann::json names = {"input_layernorm", "norm", "post_attention_layernorm"};
  nlohmann::json written = norms.adapter.method->form().config()["target_modules"];
  std::sort(written.begin(), written.end());
  EXPECT_EQ(written, names);
}

}  // namespace
}  // namespace lowrank
