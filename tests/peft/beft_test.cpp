// BEFT: y = W x + c; merged only if there is a bias to merge into.
#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(Beft, AddsAVectorToValues) {
  const test::MethodFormula beft("beft");
  EXPECT_EQ(beft.adapter.parameters->count(), 2 * 16);
  const at::Tensor bias = beft.parameter("v_proj", "beft_bias");
  EXPECT_EQ(bias.sizes().vec(), (std::vector<int64_t>{1, 16}));
  const Module& module = *beft.checkpoint->spec().find_module("model.layers.1.self_attn.v_proj");
  const auto patches = beft.adapter.method->patches(test::PlacesIn(test::no_tokens()).layer(1), module);
  ASSERT_EQ(patches.size(), 1);
  EXPECT_EQ(at::max(at::abs(patches[0].bias - bias.flatten())).item<double>(), 0);
  for (const TensorRef& tensor : beft.checkpoint->spec().tensors)
    EXPECT_FALSE(beft.adapter.method->merges(tensor)) << tensor.name;
}

TEST(Beft, MergesIntoTheBiasOfGpt2) {
  test::TemporaryFolder folder;
  test::write_tiny_model(folder.path(), test::tiny_gpt2_config());
  const auto checkpoint = Checkpoint::open(folder.path());
  const MethodInfo& info = method_named("beft");
  Adapter adapter = make_adapter(info, info.make(), *checkpoint);
  const at::NoGradGuard no_grad;
  adapter.parameters->values().fill_(0.5);
  const TensorRef& tensor = *checkpoint->spec().find_tensor("transformer.h.1.attn.c_attn.bias");
  const at::Tensor value = checkpoint->read(tensor, at::kFloat);
  EXPECT_LT(at::max(at::abs(*adapter.method->merged(tensor, value) - value - 0.5)).item<double>(), 1e-6);
}

}  // namespace
}  // namespace lowrank
