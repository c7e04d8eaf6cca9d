// PiSSA: the start takes the best approximation of rank r out of the weight; the file is a plain adapter of
// rank 2r.
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/mm.h>

#include "base/error.h"
#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(Pissa, StartsFromThePrincipalSingularVectors) {
  for (const int iterations : {0, 20}) {
    const test::MethodFormula pissa("pissa", {{"rank", 3}, {"alpha", 6}, {"niter", iterations}}, false);
    const auto [u, s, vt] = at::linalg_svd(pissa.weight("q_proj"));
    const at::Tensor best = at::mm(u.narrow(1, 0, 3) * s.narrow(0, 0, 3), vt.narrow(0, 0, 3));
    const at::Tensor start =
        2.0 * at::mm(pissa.parameter("q_proj", "lora_B.weight"), pissa.parameter("q_proj", "lora_A.weight"));
    EXPECT_LT(at::max(at::abs(start - best)).item<double>(), iterations == 0 ? 1e-5 : 1e-2);
    EXPECT_LT(at::max(at::abs(pissa.merged("q_proj") - pissa.weight("q_proj"))).item<double>(), 1e-5);
  }
}

TEST(Pissa, IsWrittenAsAPlainAdapterOfTwiceTheRank) {
  const test::MethodFormula pissa("pissa", {{"rank", 3}});
  const test::TemporaryFolder folder;
  save_adapter(folder.path() / "adapter", pissa.adapter, "base");
  const Adapter plain = load_adapter(folder.path() / "adapter", *pissa.checkpoint);
  EXPECT_EQ(plain.info->name, "lora");
  EXPECT_EQ(plain.parameters->count(), 2 * pissa.adapter.parameters->count());
  const TensorRef& q = *pissa.checkpoint->spec().find_tensor("model.layers.1.self_attn.q_proj.weight");
  EXPECT_LT(at::max(at::abs(*plain.method->merged(q, pissa.weight("q_proj")) - pissa.merged("q_proj")))
                .item<double>(),
            1e-5);
}

TEST(Pissa, ARandomisedStartIsRefusedWithAWayOut) {
  const nlohmann::json config = {{"peft_type", "LORA"}, {"init_lora_weights", "pissa_niter_4"}};
  const MethodInfo& info = method_of_config(config, "adapter_config.json");
  try {
    info.make()->form().read_config(config, "adapter_config.json");
    ADD_FAILURE() << "read";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("path_initial_model_for_weight_conversion"), std::string::npos);
  }
}

}  // namespace
}  // namespace lowrank
