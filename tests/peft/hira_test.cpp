// HiRA: W + W * (B A), element by element.
#include <ATen/ops/mm.h>

#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(Hira, MergesByItsFormula) {
  const test::MethodFormula hira("hira", {{"rank", 3}});
  for (const char* module : {"q_proj", "v_proj"}) {
    const at::Tensor update = at::mm(hira.parameter(module, "hira_B"), hira.parameter(module, "hira_A"));
    hira.expect_merged(module, hira.weight(module) * (update + 1));
  }
}

TEST(Hira, ScalesTheRowsOfAnEmbedding) {
  const test::MethodFormula hira("hira", {{"rank", 3}, {"target_modules", "embed_tokens"}});
  const TensorRef& table = *hira.checkpoint->spec().find_tensor("model.embed_tokens.weight");
  const auto at = [&](const char* name) {
    return hira.adapter.parameters
        ->at(std::string("base_model.model.model.embed_tokens.hira_embedding_") + name)
        .detach();
  };
  const at::Tensor value = hira.checkpoint->read(table, at::kFloat);
  const at::Tensor expected = value * (at::mm(at("B"), at("A")).t() + 1);
  const at::NoGradGuard no_grad;
  EXPECT_LT(at::max(at::abs(*hira.adapter.method->merged(table, value) - expected)).item<double>(), 1e-5);
}

}  // namespace
}  // namespace lowrank
