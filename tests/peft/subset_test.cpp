// What an expression chooses, and what it refuses.
#include "support/expect_error.h"
#include "support/method_formula.h"

namespace lowrank {
namespace {

Adapter planned(const nlohmann::json& config, const std::string& train) {
  test::TemporaryFolder folder;
  test::write_tiny_model(folder.path(), config);
  std::unique_ptr<Method> method = method_named("subset").make();
  apply(method->fields(), {{"train", train}}, "test");
  return plan_adapter(method_named("subset"), std::move(method), read_spec(folder.path()));
}

TEST(Subset, FindsNamesAnywhereInThem) {
  const std::vector<std::string> wanted = {"model.layers.1.mlp.down_proj.weight", "model.norm.weight"};
  EXPECT_EQ(planned(test::tiny_llama_config(), "1\\.mlp\\.down|model\\.norm").plan.targets, wanted);
}

TEST(Subset, AHeadThatIsTiedIsItsEmbeddingByEitherName) {
  for (const char* name : {"lm_head", "embed_tokens"}) {
    const TrainPlan plan = planned(test::tiny_gemma3_config(), name).plan;
    EXPECT_EQ(plan.targets, std::vector<std::string>{"model.embed_tokens.weight"});
    EXPECT_EQ(plan.uses.size(), 2U);
  }
}

TEST(Subset, RefusesWhatFindsNothing) {
  EXPECT_THROW(planned(test::tiny_llama_config(), "no_such"), Error);
  EXPECT_THROW(planned(test::tiny_llama_config(), "("), Error);
}

}  // namespace
}  // namespace lowrank
