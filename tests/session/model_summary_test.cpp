// What `lowrank inspect` says of a model: every module and tensor is adapted by default or left out for a
// reason.
#include "session/summary/model_summary.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "model/registry.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

int64_t count_of(const std::vector<ModelParts>& parts) {
  int64_t count = 0;
  for (const ModelParts& part : parts) count += part.count;
  return count;
}

/// The count of the parts of this name that are left out for a reason that contains `why`.
int64_t left(const ModelSummary& summary, std::string_view why, std::string_view name) {
  int64_t count = 0;
  for (const LeftOut& group : summary.left_out) {
    if (group.why.find(why) == std::string::npos) continue;
    for (const ModelParts& part : group.parts) {
      if (part.name == name) count += part.count;
    }
  }
  return count;
}

int64_t adapted(const ModelSummary& summary, std::string_view name) {
  const auto found = std::ranges::find(summary.adapted, name, &ModelParts::name);
  return found == summary.adapted.end() ? 0 : found->count;
}

ModelSummary summary_of(const nlohmann::json& config, const std::vector<StoredTensor>& tensors = {}) {
  return summarise_model(family_of_model_type(config["model_type"].get<std::string>(), "test").spec(config),
                         tensors);
}

TEST(ModelSummaries, HoldEveryModuleOfEveryFamilyOnce) {
  for (const FamilyInfo* family : families()) {
    const ModelSpec spec = family->spec(family->tiny_config());
    const ModelSummary summary = summarise_model(spec, {});
    EXPECT_EQ(summary.family, family->name);
    EXPECT_FALSE(summary.adapted.empty()) << family->name << ": " << summary.why_none;
    EXPECT_GT(summary.trained, 0) << family->name;
    std::set<std::string_view> modules;
    for (const Module& module : spec.modules) modules.insert(module.name);
    int64_t expected = std::ssize(spec.modules);
    for (const TensorRef& tensor : spec.tensors) {
      const bool bias = tensor.name.ends_with(".bias");
      if (tensor.expert ? false : bias || !modules.contains(tensor.module_name())) ++expected;
    }
    int64_t found = count_of(summary.adapted);
    for (const LeftOut& group : summary.left_out) {
      EXPECT_FALSE(group.why.empty());
      found += count_of(group.parts);
    }
    EXPECT_EQ(found, expected) << family->name;
  }
}

TEST(ModelSummaries, NameExpertsRoutersConvolutionsAndTiedHeads) {
  const ModelSummary mixtral = summary_of(test::tiny_config("mixtral"));
  EXPECT_EQ(adapted(mixtral, "self_attn.q_proj"), 2);
  EXPECT_EQ(left(mixtral, "routers", "block_sparse_moe.gate"), 2);
  EXPECT_EQ(adapted(mixtral, "self_attn.o_proj"), 2);
  const auto experts = test::tiny_config("mixtral")["num_local_experts"].get<int64_t>();
  EXPECT_EQ(left(mixtral, "experts", "block_sparse_moe.experts.*.w1"), 2 * experts);
  const ModelSummary lfm2 = summary_of(test::tiny_config("lfm2"));
  EXPECT_GT(left(lfm2, "convolutions", "conv.conv.weight"), 0);
  EXPECT_GT(adapted(lfm2, "conv.in_proj"), 0);
  const ModelSummary gpt2 = summary_of(test::tiny_gpt2_config());
  EXPECT_EQ(adapted(gpt2, "attn.c_attn"), 2);
  EXPECT_GT(left(gpt2, "biases", "attn.c_attn.bias"), 0);
  nlohmann::json tied = test::tiny_llama_config();
  tied["tie_word_embeddings"] = true;
  EXPECT_EQ(left(summary_of(tied), "the embedding's matrix", "lm_head"), 1);
  EXPECT_EQ(left(summary_of(test::tiny_llama_config()), "the head", "lm_head"), 1);
}

TEST(ModelSummaries, CountTensorsOfOtherParts) {
  std::vector<StoredTensor> tensors;
  for (const char* name : {"mtp.fc.weight", "mtp.norm.weight", "model.visual.a", "model.norm.weight"})
    tensors.emplace_back().name = name;
  const ModelSummary summary = summary_of(test::tiny_config("qwen3_5"), tensors);
  EXPECT_EQ(left(summary, "not read", "mtp.*"), 2);
  EXPECT_EQ(left(summary, "not read", "model.visual.*"), 1);
  EXPECT_GT(left(summary, "decays", "linear_attn.A_log"), 0);
}

TEST(ModelSummaries, AreJson) {
  const nlohmann::ordered_json json = summary_of(test::tiny_llama_config()).to_json();
  EXPECT_EQ(json["family"], "llama");
  EXPECT_EQ(json["default_method"], "lora");
  EXPECT_EQ(json["adapted"][0]["name"], "self_attn.q_proj");
  EXPECT_EQ(json["adapted"][0]["count"], 2);
  EXPECT_FALSE(json["left_out"][0]["why"].get<std::string>().empty());
}

}  // namespace
}  // namespace lowrank
