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

/// The folder with what to expect of the model in `folder`: itself, or the one of the same text part.
std::filesystem::path reference_of(const std::filesystem::path& folder) {
  const nlohmann::json expected = read_json_file(folder / "expected.json", 1 << 20);
  return expected.contains("same_as") ? folder.parent_path() / expected["same_as"].get<std::string>()
                                      : folder;
}

/// All logits of the examples, packed into one batch, by the model at `path`: those in the file
/// `logits_file`.
void expect_logits(const std::filesystem::path& path, const std::vector<Example>& examples,
                   const std::filesystem::path& logits_file) {
  const SafetensorsFile expected = SafetensorsFile::open(logits_file);
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

/// The same for the sequences and logits of `folder`.
void expect_logits(const std::filesystem::path& path, const std::filesystem::path& folder) {
  const nlohmann::json expected = read_json_file(folder / "expected.json", 1 << 20);
  std::vector<Example> examples;
  for (const nlohmann::json& sequence : expected["sequences"])
    examples.push_back({sequence["input_ids"], sequence["labels"]});
  expect_logits(path, examples, folder / "expected.safetensors");
}

class GoldenFamily : public testing::TestWithParam<const char*> {};

TEST_P(GoldenFamily, LogitsEqualTransformers) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << no_golden_families;
  const std::filesystem::path folder = *shared / "golden/families" / GetParam();
  expect_logits(folder, reference_of(folder));
  if (!std::filesystem::exists(folder / "config_hub.json")) return;
  const test::TemporaryFolder hub;
  std::filesystem::copy_file(folder / "config_hub.json", hub.path() / "config.json");
  std::filesystem::create_symlink(folder / "model.safetensors", hub.path() / "model.safetensors");
  expect_logits(hub.path(), folder);
}

INSTANTIATE_TEST_SUITE_P(Folders, GoldenFamily,
                         testing::Values("gemma2", "gemma4_dense", "gemma4_text", "gemma4_wrapper", "glm4",
                                         "gpt_oss", "gpt_oss_mxfp4", "granite", "lfm2", "llama_dynamic",
                                         "llama_linear", "llama_llama3", "llama_longrope", "llama_yarn",
                                         "ministral3", "ministral3_wrapper", "mixtral", "olmo2", "olmo3",
                                         "phi3_longrope", "phi4_mini", "qwen3_moe", "smollm3"),
                         [](const auto& info) { return std::string(info.param); });

/// Prompt and continuation go through a cache, token by token, as in generation.
TEST_P(GoldenFamily, GreedyTextIsTransformers) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << no_golden_families;
  const std::filesystem::path folder = *shared / "golden/families" / GetParam();
  const nlohmann::json expected = read_json_file(reference_of(folder) / "expected.json", 1 << 20)["greedy"];
  const auto checkpoint = Checkpoint::open(folder);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  KvCache cache(1, 64);
  std::vector<int64_t> next = expected["prompt"];
  int64_t position = 0;
  for (const int64_t token : expected["continuation"].get<std::vector<int64_t>>()) {
    Batch batch = test::batch_of({{next, next}});
    for (int64_t& at : batch.positions) at += position;
    position += batch.token_count();
    const at::Tensor logits =
        batch_logits(*model, {&batch}, Hooks(), std::vector<int64_t>{batch.token_count() - 1}, &cache);
    EXPECT_EQ(at::argmax(logits[0]).item<int64_t>(), token) << position;
    next = {token};
  }
}

class GoldenFamilyGguf : public testing::TestWithParam<const char*> {};

TEST_P(GoldenFamilyGguf, LogitsEqualTransformers) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << no_golden_families;
  const std::filesystem::path families = *shared / "golden/families";
  expect_logits(families / "gguf" / (std::string(GetParam()) + ".gguf"), families / GetParam());
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenFamilyGguf,
                         testing::Values("gemma4_dense", "glm4", "granite", "lfm2", "llama_linear",
                                         "llama_yarn", "olmo2", "phi3_longrope", "phi4_mini", "smollm3"),
                         [](const auto& info) { return std::string(info.param); });

/// A file of llama.cpp's converter and the folder with the same numbers, under different names.
TEST(GoldenFamilies, OtherGgufFilesHaveTheLogitsOfTransformers) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << no_golden_families;
  const std::filesystem::path families = *shared / "golden/families";
  expect_logits(families / "gguf/gemma4.gguf", families / "gemma4_text");
  expect_logits(families / "gguf/mistral3.gguf", families / "ministral3");
  expect_logits(families / "gguf/olmo3_as_olmo2.gguf", families / "olmo3");
  // Gemma 2's file does not say what q·k is divided by, so it has numbers of its own.
  const nlohmann::json index = read_json_file(families / "gguf/index.json", 1 << 20);
  std::vector<Example> examples;
  for (const nlohmann::json& ids : index["files"]["gemma2.gguf"]["input_ids"]) examples.push_back({ids, ids});
  expect_logits(families / "gguf/gemma2.gguf", examples, families / "gguf/gemma2.expected.safetensors");
}

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
