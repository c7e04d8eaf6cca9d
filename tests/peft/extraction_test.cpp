// LoRA from the difference of two models.
#include "peft/conversion/extraction.h"

#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include "peft/merge/merge.h"
#include "support/adapters.h"
#include "support/expect_error.h"

namespace lowrank {
namespace {

class ExtractedLora : public testing::Test {
 protected:
  std::shared_ptr<const Checkpoint> tiny(const std::string& name, const nlohmann::json& config,
                                         uint64_t seed = 1) const {
    test::write_tiny_model(folder_.path() / name, config, seed);
    return Checkpoint::open(folder_.path() / name);
  }

  test::TemporaryFolder folder_;
};

TEST_F(ExtractedLora, OfAMergedModelIsTheUpdateThatWasMerged) {
  const auto base = tiny("base", test::tiny_llama_config());
  const Adapter adapter = test::random_adapter(*base, {{"target_modules", "q_proj,up_proj"}, {"rank", 3}});
  merge_to_folder(*base, adapter, std::nullopt, folder_.path() / "merged");
  const auto tuned = Checkpoint::open(folder_.path() / "merged");
  for (const RankChoice& choice : {RankChoice{3, {}}, RankChoice{{}, 1 - 1e-9}}) {
    const Extraction extraction = extract_low_rank(*base, *tuned, {choice});
    const std::vector<LowRankUpdate> own = adapter.method->low_rank_form().updates;
    const std::vector<LowRankUpdate> found = extraction.adapter.method->low_rank_form().updates;
    ASSERT_EQ(found.size(), own.size());
    for (size_t i = 0; i < own.size(); ++i) {
      EXPECT_EQ(found[i].module->name, own[i].module->name);
      const at::Tensor d = at::mm(own[i].b, own[i].a) * (own[i].alpha / 3);
      EXPECT_LT((at::mm(found[i].b, found[i].a) - d).norm().item<double>(),
                1e-6 * d.norm().item<double>() + 1e-6);
    }
    EXPECT_TRUE(extraction.left.empty());
    EXPECT_GT(extraction.same, 0);
    EXPECT_LT(lost_share(extraction.modules), 1e-8);
  }
}

TEST_F(ExtractedLora, TensorsThatItDoesNotHoldAreReported) {
  const auto base = tiny("base", test::tiny_config("gpt2"));
  const auto tuned = tiny("tuned", test::tiny_config("gpt2"), 2);
  const Extraction extraction = extract_low_rank(*base, *tuned, {{2, {}}});
  size_t norms = 0;
  for (const LeftDifference& left : extraction.left) {
    EXPECT_GT(left.share, 0) << left.name;
    norms += left.name.find("ln_") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(norms, 2 * (2 * base->spec().layers + 1));
  EXPECT_GT(lost_share(extraction.modules), 0.1);

  // All of it: the model itself.
  const Extraction whole =
      extract_low_rank(*base, *tuned, {{{}, 1}, {"ln_1", "ln_2", "ln_f", "wte", "wpe"}, "all"});
  EXPECT_TRUE(whole.left.empty());
  merge_to_folder(*base, whole.adapter, std::nullopt, folder_.path() / "whole");
  const auto again = Checkpoint::open(folder_.path() / "whole");
  EXPECT_LT(test::largest_difference(test::logits_of(again, Hooks()), test::logits_of(tuned, Hooks())), 1e-3);
}

TEST_F(ExtractedLora, ModelsOfOtherShapesAreRefusedWithAllDifferences) {
  const auto base = tiny("base", test::tiny_llama_config());
  nlohmann::json config = test::tiny_llama_config();
  config["intermediate_size"] = config["intermediate_size"].get<int64_t>() + 8;
  const auto wider = tiny("wider", config);
  for (const char* part : {"layers.0.mlp.up_proj", "layers.1.mlp.down_proj"}) {
    test::expect_error(ErrorKind::invalid, "wider", part, [&] {
      extract_low_rank(*base, *wider, {{2, {}}});
    });
  }
}

TEST_F(ExtractedLora, EqualModelsHaveNoUpdate) {
  const auto base = tiny("base", test::tiny_llama_config());
  const auto same = tiny("same", test::tiny_llama_config());
  test::expect_error(ErrorKind::invalid, "same", "no update", [&] {
    extract_low_rank(*base, *same, {{2, {}}});
  });
}

}  // namespace
}  // namespace lowrank
