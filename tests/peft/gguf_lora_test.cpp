// GGUF LoRA: what is written reads back as the same updates and is equivalent to merging in llama.cpp's
// layout, and files that do not fit are refused.
#include "peft/files/gguf_lora.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include "formats/block_formats.h"
#include "formats/gguf_writer.h"
#include "peft/merge/merge.h"
#include "support/adapters.h"
#include "support/expect_error.h"
#include "support/places.h"

namespace lowrank {
namespace {

at::Tensor values_of(const StoredTensor& tensor) {
  at::Tensor values = at::empty(tensor.shape, at::kFloat);
  expand(tensor.dtype, tensor.bytes, {values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())});
  return values;
}

at::Tensor product(const LowRankUpdate& update) {
  return at::mm(update.b.detach(), update.a.detach()) * (update.alpha / static_cast<double>(update.rank));
}

struct Case {
  const char* base;
  nlohmann::json options;
  const char* method = "lora";
};

const nlohmann::json plain = {{"target_modules", "all-linear"}, {"rank", 4}, {"alpha", 6}};
const nlohmann::json patterns = {{"target_modules", "q_proj,k_proj,down_proj"},
                                 {"rank", 4},
                                 {"rank_pattern", {{"k_proj", 1}, {"layers.1.mlp.down_proj", 7}}},
                                 {"alpha_pattern", {{"down_proj", 3.3}}}};

nlohmann::json with(nlohmann::json options, const char* key, const nlohmann::json& value) {
  options[key] = value;
  return options;
}

class GgufLora : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    base_ = Checkpoint::open(test::fixture(GetParam().base));
    adapter_.emplace(test::random_adapter(*base_, GetParam().options, GetParam().method));
    result_ = write_gguf_lora(*base_, *adapter_, path());
  }

  std::filesystem::path path() const { return folder_.path() / "adapter.gguf"; }

  test::TemporaryFolder folder_;
  std::shared_ptr<const Checkpoint> base_;
  std::optional<Adapter> adapter_;
  GgufLoraResult result_;
};

/// The same with bases that merging into a GGUF file takes.
class GgufLoraOnGguf : public GgufLora {};

TEST_P(GgufLora, ReadsBackAsTheSameUpdates) {
  const Adapter again = load_adapter(path(), *base_);
  const LowRankForm before = adapter_->method->low_rank_form();
  const LowRankForm after = again.method->low_rank_form();
  ASSERT_EQ(after.updates.size(), before.updates.size());
  EXPECT_EQ(result_.modules, std::ssize(before.updates));
  for (size_t i = 0; i < before.updates.size(); ++i) {
    EXPECT_EQ(after.updates[i].module, before.updates[i].module);
    EXPECT_EQ(after.updates[i].rank, before.updates[i].rank);
    EXPECT_TRUE(at::equal(after.updates[i].a, before.updates[i].a));
    const at::Tensor expected = product(before.updates[i]);
    EXPECT_LT(test::largest_difference(product(after.updates[i]), expected),
              1e-6 * at::max(at::abs(expected)).item<double>());
  }
  EXPECT_LT(test::largest_difference(test::logits_of(base_, *again.method),
                                     test::logits_of(base_, *adapter_->method)),
            1e-5);
}

TEST_P(GgufLora, SurvivesThePeftFolder) {
  const Adapter read = load_adapter(path(), *base_);
  save_adapter(folder_.path() / "peft", read, "base");
  const Adapter again = load_adapter(folder_.path() / "peft", *base_);
  EXPECT_TRUE(at::equal(again.parameters->values(), read.parameters->values()));
  EXPECT_LT(test::largest_difference(test::logits_of(base_, *again.method),
                                     test::logits_of(base_, *adapter_->method)),
            1e-5);
}

TEST_P(GgufLoraOnGguf, AddsToTheFilesTensorsWhatMergingAdds) {
  merge_to_gguf(*base_, *adapter_, DType::f32, folder_.path() / "merged.gguf");
  const GgufFile merged = GgufFile::open(folder_.path() / "merged.gguf");
  const GgufFile lora = GgufFile::open(path());
  const double alpha = lora.get<double>("adapter.lora.alpha");
  for (const StoredTensor& b : lora.tensors()) {
    if (!b.name.ends_with(".lora_b")) continue;
    const std::string name = b.name.substr(0, b.name.size() - 7);
    const at::Tensor a = values_of(*lora.find_tensor(name + ".lora_a"));
    const at::Tensor added = at::mm(values_of(b), name == "token_embd.weight" ? a.t() : a) *
                             (alpha / static_cast<double>(b.shape[1]));
    const at::Tensor difference =
        values_of(*merged.find_tensor(name)) - values_of(*base_->gguf()->find_tensor(name));
    const bool embedding = name == "token_embd.weight";
    EXPECT_LT(test::largest_difference(embedding ? added.t() : added, difference), 1e-6) << name;
  }
}

const auto on_gguf = testing::Values(
    Case{"tiny_gguf/mixed.gguf", plain}, Case{"tiny_gguf/mixed.gguf", patterns},
    Case{"tiny_decoders/llama31.gguf", with(patterns, "scaling", "alpha/sqrt(r)")},
    Case{"tiny_decoders/llama31.gguf", with(plain, "scaling", "1/alpha")},
    Case{"tiny_decoders/qwen3.gguf", with(plain, "scaling", "alpha/sqrt(r)")},
    Case{"tiny_decoders/qwen3.gguf", with(patterns, "scaling", "1/alpha")},
    Case{"tiny_decoders/qwen3.gguf", with(plain, "target_modules", "embed_tokens,lm_head,k_proj")});
const auto on_folders =
    testing::Values(Case{"tiny_decoders/gemma3", plain}, Case{"tiny_decoders/mistral", patterns},
                    Case{"tiny_llama/linear", with(plain, "rank", 1)});
/// Methods that are low-rank updates, whatever they train.
const auto other_methods = testing::Values(
    Case{"tiny_llama/linear", {{"init_r", 3}}, "adalora"},
    Case{"tiny_llama/linear", {{"rank", 6}, {"save_projection", false}}, "vera"},
    Case{"tiny_llama/linear", {{"rank", 2}}, "loha"}, Case{"tiny_llama/linear", {{"rank", 5}}, "miss"},
    Case{"tiny_llama/linear", {{"rank", 4}, {"hybrid_r", 3}}, "gralora"});
const auto number = [](const auto& info) { return "case" + std::to_string(info.index); };
INSTANTIATE_TEST_SUITE_P(Gguf, GgufLora, on_gguf, number);
INSTANTIATE_TEST_SUITE_P(Folders, GgufLora, on_folders, number);
INSTANTIATE_TEST_SUITE_P(OtherMethods, GgufLora, other_methods, number);
INSTANTIATE_TEST_SUITE_P(Gguf, GgufLoraOnGguf, on_gguf, number);

TEST(GgufLoraFile, HasTheKeysThatLlamaCppReads) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "named.gguf";
  for (const auto& [model, architecture] :
       {std::pair{"tiny_decoders/mistral", "llama"}, std::pair{"tiny_decoders/gemma3", "gemma3"},
        std::pair{"tiny_decoders/qwen2", "qwen2"}, std::pair{"tiny_decoders/qwen3.gguf", "qwen3"}}) {
    const auto base = Checkpoint::open(test::fixture(model));
    write_gguf_lora(*base, test::random_adapter(*base, {{"rank", 4}, {"alpha", 6}}), path);
    const GgufFile file = GgufFile::open(path);
    EXPECT_EQ(file.get<std::string>("general.type"), "adapter");
    EXPECT_EQ(file.get<std::string>("general.architecture"), architecture);
    EXPECT_EQ(file.get<std::string>("general.name"), "named");
    EXPECT_EQ(file.get<std::string>("adapter.type"), "lora");
    EXPECT_EQ(file.get<double>("adapter.lora.alpha"), 6);
    EXPECT_EQ(file.find_tensor("blk.1.attn_q.weight.lora_a")->shape, (std::vector<int64_t>{4, 32}));
    EXPECT_EQ(file.find_tensor("blk.1.attn_q.weight.lora_b")->shape, (std::vector<int64_t>{32, 4}));
  }
}

TEST(GgufLoraFile, WhatItCannotHoldIsNamedAtOnce) {
  const auto base = Checkpoint::open(test::fixture("tiny_decoders/qwen2"));
  const auto refusal = [&](const nlohmann::json& options, const char* part) {
    const Adapter adapter = test::random_adapter(*base, options);
    test::expect_error(ErrorKind::unsupported, "x.gguf: a GGUF LoRA cannot hold", part,
                       [&] { write_gguf_lora(*base, adapter, "x.gguf"); });
    EXPECT_FALSE(std::filesystem::exists("x.gguf"));
  };
  refusal(
      {{"lora_bias", true}, {"bias", "all"}, {"modules_to_save", {"norm"}}},
      "biases beside B (lora_bias); the model's biases (bias all); whole parts of the model (modules_to_save "
      "norm)");
  refusal({{"trainable_token_indices", {3}}}, "rows of the embedding (trainable_token_indices)");
  refusal(
      {{"target_modules", "embed_tokens,q_proj"}, {"ensure_weight_tying", true}},
      "a head that follows the embedding (ensure_weight_tying); an update of model.embed_tokens, which this "
      "model shares");
  refusal({{"target_modules", "lm_head,q_proj"}}, "an update of lm_head");
}

TEST(GgufLoraFile, WhatLlamaCppDoesNotApplyIsNamed) {
  const test::TemporaryFolder folder;
  const auto base = Checkpoint::open(test::fixture("families/gemma4_text"));
  const auto path = folder.path() / "lora.gguf";
  test::expect_error(
      ErrorKind::unsupported, "lora.gguf", "per_layer_model_projection, which llama.cpp computes without",
      [&] {
        write_gguf_lora(*base, test::random_adapter(*base, {{"target_modules", "all-linear"}}), path);
      });
  write_gguf_lora(*base,
                  test::random_adapter(*base, {{"target_modules", "all-linear"},
                                               {"exclude_modules", "per_layer_model_projection"}}),
                  path);
  EXPECT_TRUE(std::filesystem::exists(path));
}

/// A written file that each test corrupts.
class BadGgufLora : public testing::Test {
 protected:
  void SetUp() override {
    base_ = Checkpoint::open(test::fixture("tiny_decoders/qwen3.gguf"));
    write_gguf_lora(*base_, test::random_adapter(*base_, {{"rank", 4}}), path());
    original_.emplace(GgufFile::open(path()));
    metadata_ = GgufMetadata(*original_);
    tensors_ = original_->tensors();
  }

  std::filesystem::path path() const { return folder_.path() / "adapter.gguf"; }
  StoredTensor& tensor(const std::string& name) {
    return *std::ranges::find(tensors_, name, &StoredTensor::name);
  }
  void refused(ErrorKind kind, const char* part) {
    const auto spoilt = folder_.path() / "spoilt.gguf";
    write_gguf(spoilt, tensors_, metadata_);
    test::expect_error(kind, "spoilt.gguf", part, [&] { load_adapter(spoilt, *base_); });
  }

  test::TemporaryFolder folder_;
  std::shared_ptr<const Checkpoint> base_;
  std::optional<GgufFile> original_;
  GgufMetadata metadata_;
  std::vector<StoredTensor> tensors_;
};

TEST_F(BadGgufLora, OtherKindsOfFilesAndAdapters) {
  test::expect_error(ErrorKind::unsupported, "qwen3.gguf", "a model, not an adapter",
                     [&] { load_adapter(test::fixture("tiny_decoders/qwen3.gguf"), *base_); });
  metadata_.set_string("adapter.type", "control_vector");
  metadata_.set_string("general.architecture", "llama");
  const std::vector<int64_t> tokens{1, 2};
  metadata_.set_numbers<int64_t>("adapter.alora.invocation_tokens", tokens);
  refused(ErrorKind::unsupported,
          "adapter.type control_vector; an adapter for llama where the base model is qwen3; activation by "
          "tokens");
}

TEST_F(BadGgufLora, MissingUnexpectedAndMisshapenTensorsAtOnce) {
  tensor("blk.0.attn_q.weight.lora_a").name = "blk.0.attn_qq.weight.lora_a";
  StoredTensor& b = tensor("blk.1.attn_v.weight.lora_b");
  std::ranges::reverse(b.shape);
  refused(
      ErrorKind::invalid,
      "unexpected blk.0.attn_qq.weight.lora_a (nearest: blk.0.attn_q.weight.lora_a); missing "
      "blk.0.attn_q.weight.lora_a; blk.1.attn_v.weight.lora_a [4, 32] and blk.1.attn_v.weight.lora_b [4, 16] "
      "where [r, 32] and [16, r] are expected");
}

TEST_F(BadGgufLora, NormsAreNotLeftAside) {
  const std::vector<float> ones(32, 1);
  tensors_.push_back({"blk.0.attn_norm.weight", DType::f32, {32}, std::as_bytes(std::span(ones))});
  refused(ErrorKind::invalid, "unexpected blk.0.attn_norm.weight");
}

TEST_F(BadGgufLora, ValuesThatAreNotFiniteAndAlphaBelowZero) {
  const std::vector<float> broken(128, NAN);
  tensor("blk.0.attn_q.weight.lora_a").bytes = std::as_bytes(std::span(broken));
  refused(ErrorKind::corrupt, "not finite in blk.0.attn_q.weight.lora_a");
  metadata_.set_number("adapter.lora.alpha", -1.F);
  refused(ErrorKind::invalid, "adapter.lora.alpha is -1");
}

TEST_F(BadGgufLora, NothingAtAll) {
  tensors_.clear();
  refused(ErrorKind::invalid, "there are none");
}

TEST_F(BadGgufLora, AlphaOfZeroIsAFactorOfOneAndOtherTypesAreRead) {
  metadata_.set_number("adapter.lora.alpha", 0.F);
  const at::Tensor half = values_of(tensor("blk.0.attn_q.weight.lora_b")).to(at::kHalf);
  StoredTensor& b = tensor("blk.0.attn_q.weight.lora_b");
  b.dtype = DType::f16;
  b.bytes = {static_cast<const std::byte*>(half.const_data_ptr()), static_cast<size_t>(half.numel()) * 2};
  write_gguf(folder_.path() / "good.gguf", tensors_, metadata_);
  const Adapter adapter = load_adapter(folder_.path() / "good.gguf", *base_);
  const LowRankUpdate update = adapter.method->low_rank_form().updates.front();
  EXPECT_EQ(update.alpha, 4);
  EXPECT_TRUE(at::equal(update.b, half.to(at::kFloat)));
}

}  // namespace
}  // namespace lowrank
