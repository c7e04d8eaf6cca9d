// Only the last layers: counts, and no gradient below them.
#include "base/error.h"
#include "support/load_forms.h"
#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(TopLayers, TrainsTheLastLayersWithoutTheFinalNorm) {
  const test::MethodFormula top("top_layers", {{"layers", 1}});
  // q and o [32, 32], k and v [16, 32], gate, up and down 48 * 32, two norms.
  EXPECT_EQ(top.adapter.parameters->count(), 2 * 32 * 32 + 2 * 16 * 32 + 3 * 48 * 32 + 2 * 32);
  for (const std::string& name : top.adapter.plan.targets)
    EXPECT_TRUE(name.starts_with("model.layers.1.")) << name;
}

TEST(TopLayers, RefusesMoreLayersThanThereAre) {
  EXPECT_THROW(test::MethodFormula("top_layers", {{"layers", 3}}), Error);
}

TEST(TopLayers, NothingIsDifferentiatedBelowThem) {
  const test::MethodFormula top("top_layers", {{"layers", 1}});
  LoadOptions load = test::in_f32();
  load.training = true;
  load.use = uses_of(top.adapter.plan);
  const auto model = top.checkpoint->family().load(top.checkpoint, load);
  struct Watch final : Hooks {
    const Hooks* method = nullptr;
    mutable std::vector<bool> gradients;
    at::Tensor weight(const Context& context, const TensorRef& tensor) const override {
      return method->weight(context, tensor);
    }
    HiddenState layer_end(const Place&, HiddenState hidden) const override {
      gradients.push_back(hidden.stream.requires_grad() || hidden.branch.requires_grad());
      return hidden;
    }
  } watch;
  watch.method = top.adapter.method.get();
  const Batch batch = test::batch_of(test::random_examples({5}, 64));
  batch_loss(*model, {&batch, true}, watch);
  EXPECT_EQ(watch.gradients, (std::vector<bool>{false, true}));
}

}  // namespace
}  // namespace lowrank
