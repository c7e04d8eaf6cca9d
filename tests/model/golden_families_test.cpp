// Families and RoPE scalings: every logit that transformers 5.24 computed on small random checkpoints, with
// config.json as it writes it and as the hub has it, and from llama.cpp's own GGUF files of them.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "formats/safetensors.h"
#include "model/checkpoint.h"
#include "model/registry.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

constexpr const char* no_golden_families = "no reference checkpoints beside the source tree (LOWRANK_SHARED)";

/// All logits that the model at `path` gives for the sequences, packed into one batch.
void expect_logits(const std::filesystem::path& path, const std::vector<Example>& examples,
                   const std::filesystem::path& file) {
  const SafetensorsFile expected = SafetensorsFile::open(file);
  const auto checkpoint = Checkpoint::open(path);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  const Batch batch = test::batch_of(examples);
  std::vector<int64_t> rows(batch.token_count());
  for (int64_t row = 0; row < batch.token_count(); ++row) rows[row] = row;
  const at::Tensor logits = batch_logits(*model, {&batch}, Hooks(), rows, nullptr);
  for (size_t i = 0; i < examples.size(); ++i) {
    const StoredTensor& stored = *expected.find("logits_" + std::to_string(i));
    const at::Tensor theirs =
        at::from_blob(const_cast<std::byte*>(stored.bytes.data()), stored.shape, at::kFloat);
    const at::Tensor ours = logits.narrow(0, batch.offsets[i], theirs.size(0));
    EXPECT_LT(at::max(at::abs(ours - theirs)).item<double>(), 1e-4) << path << ", sequence " << i;
  }
}

/// Those of the sequences of `folder`.
void expect_logits(const std::filesystem::path& path, const std::filesystem::path& folder) {
  const nlohmann::json sequences = read_json_file(folder / "expected.json", 1 << 20)["sequences"];
  std::vector<Example> examples;
  for (const nlohmann::json& sequence : sequences)
    examples.push_back({sequence["input_ids"], sequence["labels"]});
  expect_logits(path, examples, folder / "expected.safetensors");
}

class GoldenFamily : public testing::TestWithParam<const char*> {};

TEST_P(GoldenFamily, LogitsEqualTransformers) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << no_golden_families;
  const std::filesystem::path folder = *shared / "golden/families" / GetParam();
  expect_logits(folder, folder);
  if (!std::filesystem::exists(folder / "config_hub.json")) return;
  const test::TemporaryFolder hub;
  std::filesystem::copy_file(folder / "config_hub.json", hub.path() / "config.json");
  std::filesystem::create_symlink(folder / "model.safetensors", hub.path() / "model.safetensors");
  expect_logits(hub.path(), folder);
}

INSTANTIATE_TEST_SUITE_P(Folders, GoldenFamily,
                         testing::Values("gpt_oss", "gpt_oss_mxfp4", "granite", "llama_dynamic",
                                         "llama_linear", "llama_llama3", "llama_longrope", "llama_yarn",
                                         "mixtral", "olmo2", "phi3_longrope", "phi4_mini", "qwen3_moe",
                                         "smollm3"),
                         [](const auto& info) { return std::string(info.param); });

class GoldenFamilyGguf : public testing::TestWithParam<const char*> {};

TEST_P(GoldenFamilyGguf, LogitsEqualTransformers) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << no_golden_families;
  const std::filesystem::path families = *shared / "golden/families";
  expect_logits(families / "gguf" / (std::string(GetParam()) + ".gguf"), families / GetParam());
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenFamilyGguf,
                         testing::Values("granite", "llama_linear", "llama_yarn", "olmo2", "phi3_longrope",
                                         "phi4_mini", "smollm3"),
                         [](const auto& info) { return std::string(info.param); });

/// Files that are not named like the folder with their numbers.
TEST(GoldenFamilies, GgufFilesOfExpertsGiveTheLogitsOfTransformers) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << no_golden_families;
  const std::filesystem::path families = *shared / "golden/families";
  expect_logits(families / "gguf/mixtral_as_llama.gguf", families / "mixtral");
  const nlohmann::json index = read_json_file(families / "gguf/index.json", 1 << 20);
  for (const std::string name : {"qwen3moe", "gpt_oss"}) {
    std::vector<Example> examples;
    for (const nlohmann::json& ids : index["files"][name + ".gguf"]["input_ids"])
      examples.push_back({ids, ids});
    ASSERT_GT(examples.size(), 1U);
    expect_logits(families / "gguf" / (name + ".gguf"), examples,
                  families / "gguf" / (name + ".expected.safetensors"));
  }
}

class GoldenGreedyText : public testing::TestWithParam<const char*> {};

TEST_P(GoldenGreedyText, IsThatOfTransformersWithACache) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << no_golden_families;
  const std::filesystem::path folder = *shared / "golden/families" / GetParam();
  const nlohmann::json expected = read_json_file(folder / "expected.json", 1 << 20)["greedy"];
  const auto checkpoint = Checkpoint::open(folder);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  KvCache cache(1, 64);
  std::vector<int64_t> tokens = expected["prompt"];
  Batch next{tokens, {}, {0}, {}, {0}, {}, {}};
  for (const int64_t token : expected["continuation"].get<std::vector<int64_t>>()) {
    next.positions.clear();
    for (int64_t i = 0; i < next.token_count(); ++i) next.positions.push_back(cache.length(0) + i);
    next.offsets = {0, next.token_count()};
    const at::Tensor logits =
        batch_logits(*model, {&next}, Hooks(), std::vector<int64_t>{next.token_count() - 1}, &cache);
    EXPECT_EQ(at::argmax(logits[0]).item<int64_t>(), token) << cache.length(0);
    next.tokens = {token};
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, GoldenGreedyText, testing::Values("gpt_oss", "mixtral", "qwen3_moe"),
                         [](const auto& info) { return std::string(info.param); });

/// Whole passes: what the reference's generation gives when the text outgrows the original context.
TEST(GoldenFamilies, Phi3GoesOnBeyondTheOriginalContextAsTransformersDoes) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << no_golden_families;
  const std::filesystem::path folder = *shared / "golden/families/phi3_longrope";
  const nlohmann::json expected =
      read_json_file(folder / "expected.json", 1 << 20)["greedy_across_original_length"];
  const auto checkpoint = Checkpoint::open(folder);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  std::vector<int64_t> tokens = expected["prompt"];
  for (const int64_t next : expected["continuation"].get<std::vector<int64_t>>()) {
    const Batch batch = test::batch_of({{tokens, tokens}});
    const at::Tensor logits =
        batch_logits(*model, {&batch}, Hooks(), std::vector<int64_t>{batch.token_count() - 1}, nullptr);
    EXPECT_EQ(at::argmax(logits[0]).item<int64_t>(), next) << tokens.size();
    tokens.push_back(next);
  }
}

}  // namespace
}  // namespace lowrank
