// Folders of every decoder family, written as GGUF files, opened again: the same logits.
#include "session/convert_model.h"

#include <algorithm>
#include <set>

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "model/registry.h"
#include "support/expect_error.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

/// Folders of tiny decoders, by group and name.
std::vector<std::string> decoder_folders() {
  std::vector<std::string> found;
  for (const std::string group : {"tiny_llama", "tiny_decoders", "families"}) {
    for (const auto& entry : fs::directory_iterator(test::fixture(group))) {
      if (fs::exists(entry.path() / "config.json"))
        found.push_back(group + "/" + entry.path().filename().string());
    }
  }
  std::ranges::sort(found);
  return found;
}

at::Tensor logits_of(const fs::path& path, const std::vector<Example>& examples) {
  const auto checkpoint = Checkpoint::open(path);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  const Batch batch = test::batch_of(examples);
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < batch.token_count(); ++row) rows.push_back(row);
  return batch_logits(*model, {&batch}, Hooks(), rows, nullptr);
}

/// Sequences up to the file's whole context, which a window may limit.
std::vector<Example> examples_for(const fs::path& gguf) {
  const ModelSpec spec = read_spec(gguf);
  const int64_t longest = std::min<int64_t>(spec.max_positions, 120);
  return test::random_examples({1, longest / 2, longest}, spec.vocabulary_size);
}

ConvertResult converted(const fs::path& folder, const fs::path& output, const std::string& type) {
  ConvertOptions options;
  options.model = folder.string();
  options.output = output.string();
  options.type = type;
  return convert_model(options);
}

class ConvertedDecoder : public testing::TestWithParam<std::string> {
 protected:
  /// The largest difference of the logits, as a share of the largest logit.
  double difference(const std::string& type) const {
    const fs::path folder = test::fixture(GetParam());
    const fs::path output = written.path() / (type + ".gguf");
    converted(folder, output, type);
    const std::vector<Example> examples = examples_for(output);
    const at::Tensor expected = logits_of(folder, examples);
    const at::Tensor off = logits_of(output, examples) - expected;
    return at::max(at::abs(off)).item<double>() / at::max(at::abs(expected)).item<double>();
  }

  test::TemporaryFolder written;
};

TEST_P(ConvertedDecoder, HasTheFoldersLogits) {
  EXPECT_LT(difference("f32"), 1e-5);
  // Random weights are bent more by rounding where scores are not divided by the heads' size (Gemma 4), and
  // where a norm follows small outputs of a recurrence (Qwen 3.5).
  constexpr std::string_view folders[] = {"families/gemma4_text", "families/gemma4_moe",
                                          "families/qwen3_5_text", "families/qwen3_5_moe"};
  const bool bent = std::ranges::find(folders, GetParam()) != std::end(folders);
  const bool sparse = read_spec(test::fixture(GetParam())).experts.count > 0;
  const double more = bent && sparse ? 8 : bent ? 4 : 1;
  EXPECT_LT(difference("f16"), more * 0.02);
  // Coarser rounding changes which experts a token uses.
  if (sparse) return;
  EXPECT_LT(difference("bf16"), more * 0.1);
  // The fixtures' weights are large and their rows short.
  EXPECT_LT(difference("q8_0"), more * 0.25);
}

/// What GGUF files cannot say, by folder.
bool is_refused(const std::string& folder) {
  constexpr std::string_view refused[] = {"families/llama_dynamic", "tiny_llama/llama3", "tiny_llama/bf16"};
  return std::ranges::find(refused, folder) != std::end(refused);
}

std::vector<std::string> convertible() {
  std::vector<std::string> folders = decoder_folders();
  std::erase_if(folders, is_refused);
  return folders;
}

INSTANTIATE_TEST_SUITE_P(Folders, ConvertedDecoder, testing::ValuesIn(convertible()), [](const auto& info) {
  std::string name = info.param;
  std::ranges::replace(name, '/', '_');
  return name;
});

TEST(ConvertModel, EachDecoderFamilyHasAFolder) {
  std::set<std::string_view> there;
  for (const std::string& name : convertible())
    there.insert(Checkpoint::open(test::fixture(name))->family().name);
  for (const FamilyInfo* family : families()) {
    EXPECT_EQ(family->describe_gguf != nullptr, family->config_from_gguf != nullptr) << family->name;
    EXPECT_EQ(family->describe_gguf != nullptr, there.contains(family->name)) << family->name;
  }
}

TEST(ConvertModel, SaysWhatAFileCannotHold) {
  const test::TemporaryFolder folder;
  const auto refused = [&](ErrorKind kind, const fs::path& model, const char* part) {
    test::expect_error(kind, model.string(), part,
                       [&] { converted(model, folder.path() / "x.gguf", "f32"); });
    EXPECT_FALSE(fs::exists(folder.path() / "x.gguf"));
  };
  refused(ErrorKind::unsupported, test::fixture("families/llama_dynamic"), "dynamic");
  refused(ErrorKind::unsupported, test::fixture("tiny_decoders/qwen3.gguf"), "a GGUF file already");
  refused(ErrorKind::unsupported, test::fixture("tiny_llama/llama3"), "Llama 3.1's scaling");
  test::write_tiny_model(folder.path() / "bert", test::tiny_encoder_config("bert"));
  refused(ErrorKind::unsupported, folder.path() / "bert", "family bert");
  nlohmann::json config = test::tiny_gemma3_config();
  config["query_pre_attn_scalar"] = 16;
  test::write_tiny_model(folder.path() / "gemma", config);
  refused(ErrorKind::unsupported, folder.path() / "gemma", "query_pre_attn_scalar must be 8");
  test::write_tiny_model(folder.path() / "broken", test::tiny_llama_config());
  test::overwrite_values(folder.path() / "broken", "model.layers.1.mlp.up_proj.weight", INFINITY);
  refused(ErrorKind::invalid, folder.path() / "broken", "model.layers.1.mlp.up_proj.weight");
  folder.write("there.gguf", "kept");
  test::expect_error(ErrorKind::invalid, "there.gguf", "exists already", [&] {
    converted(test::fixture("tiny_llama/linear"), folder.path() / "there.gguf", "f32");
  });
  EXPECT_EQ(test::content_of(folder.path() / "there.gguf"), "kept");
}

TEST(ConvertModel, KeepsLlama31sFrequencies) {
  const test::TemporaryFolder folder;
  nlohmann::json config = test::tiny_llama_config();
  config["max_position_embeddings"] = 131072;
  config["rope_theta"] = 500000.0;
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 32.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  test::write_tiny_model(folder.path() / "model", config);
  converted(folder.path() / "model", folder.path() / "m.gguf", "f32");
  EXPECT_EQ(GgufFile::open(folder.path() / "m.gguf").find_tensor("rope_freqs.weight")->shape,
            std::vector<int64_t>{4});
  const std::vector<Example> examples = examples_for(folder.path() / "m.gguf");
  const at::Tensor expected = logits_of(folder.path() / "model", examples);
  EXPECT_LT(at::max(at::abs(logits_of(folder.path() / "m.gguf", examples) - expected)).item<double>(), 1e-4);
}

TEST(ConvertModel, AWindowEndsTheContext) {
  const test::TemporaryFolder folder;
  const fs::path output = folder.path() / "m.gguf";
  const ConvertResult result = converted(test::fixture("tiny_decoders/mistral"), output, "f32");
  EXPECT_EQ(read_spec(output).max_positions, 11);
  EXPECT_TRUE(std::ranges::any_of(result.notes, [](const std::string& note) {
    return note.find("window of 11 positions") != std::string::npos;
  }));
}

TEST(ConvertModel, QuantisesInBlocksThatRowsFill) {
  const test::TemporaryFolder folder;
  nlohmann::json config = test::tiny_llama_config();
  config["hidden_size"] = 256;
  config["intermediate_size"] = 288;
  config["head_dim"] = 64;
  test::write_tiny_model(folder.path() / "model", config);
  const ConvertResult result = converted(folder.path() / "model", folder.path() / "m.gguf", "q4_k");
  const GgufFile file = GgufFile::open(folder.path() / "m.gguf");
  EXPECT_EQ(file.find_tensor("token_embd.weight")->dtype, DType::q6_k);
  EXPECT_EQ(file.find_tensor("output.weight")->dtype, DType::q6_k);
  EXPECT_EQ(file.find_tensor("blk.0.attn_q.weight")->dtype, DType::q4_k);
  EXPECT_EQ(file.find_tensor("blk.0.ffn_down.weight")->dtype, DType::q5_0);
  EXPECT_EQ(file.find_tensor("blk.0.attn_norm.weight")->dtype, DType::f32);
  EXPECT_EQ(file.get<int64_t>("general.file_type"), 14);
  EXPECT_EQ(file.get<std::string>("general.name"), "model");
  ASSERT_TRUE(result.difference.has_value());
  EXPECT_LT(result.difference->share(), 0.3);
  EXPECT_GT(result.difference->share(), 1e-3);
}

TEST(ConvertModel, KeepsTheTokenizer) {
  const test::TemporaryFolder folder;
  nlohmann::json config = test::tiny_llama_config();
  const Tokenizer before = load_tokenizer(test::fixture("text/smollm_small"));
  config["vocab_size"] = before.vocabulary_size() + 8;
  test::write_tiny_model(folder.path() / "model", config);
  for (const char* file : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy_file(test::fixture("text/smollm_small") / file, folder.path() / "model" / file);
  EXPECT_TRUE(converted(folder.path() / "model", folder.path() / "m.gguf", "q8_0").notes.empty());
  const Tokenizer after = load_tokenizer(folder.path() / "m.gguf");
  for (const char* text : {"Hello, World! 123", "  a\n\nb", "naïve"})
    EXPECT_EQ(after.encode(text, true), before.encode(text, true)) << text;
}

}  // namespace
}  // namespace lowrank
