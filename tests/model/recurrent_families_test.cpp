// Families whose layers carry a state from row to row: packed batches, forks, and texts that go on from a
// cache.
#include <algorithm>
#include <numeric>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "data/training_batch.h"
#include "formats/safetensors.h"
#include "model/checkpoint.h"
#include "model/registry.h"
#include "model/tensor_form.h"
#include "support/expect_error.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

class RecurrentFamily : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    test::write_tiny_model(folder_.path(), test::tiny_config(GetParam()));
    checkpoint_ = Checkpoint::open(folder_.path());
    LoadOptions options;
    options.compute = at::kDouble;
    model_ = checkpoint_->family().load(checkpoint_, options);
  }
  double loss(const Batch& batch) const {
    const at::NoGradGuard no_grad;
    return batch_loss(*model_, {&batch}, Hooks()).loss.item<double>();
  }

  test::TemporaryFolder folder_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::unique_ptr<Model> model_;
};

TEST_P(RecurrentFamily, PackedLossesAreThoseOfRowsAlone) {
  const std::vector<Example> rows = test::random_examples({9, 2, 1, 30, 5}, 64);
  const Batch packed = test::batch_of(rows);
  const at::NoGradGuard no_grad;
  const TargetLoss together = batch_loss(*model_, {&packed}, Hooks());
  double sum = 0;
  int64_t target = 0;
  for (const Example& row : rows) {
    const Batch alone = test::batch_of({row});
    const TargetLoss own = batch_loss(*model_, {&alone}, Hooks());
    sum += own.loss.item<double>();
    for (int64_t i = 0; i < alone.targets.count(); ++i, ++target)
      EXPECT_NEAR(together.nll[target].item<double>(), own.nll[i].item<double>(), 1e-6);
  }
  EXPECT_NEAR(together.loss.item<double>(), sum, 1e-9 * sum);
}

TEST_P(RecurrentFamily, RowsThatShareTheirPromptHaveTheSameLoss) {
  ASSERT_TRUE(checkpoint_->spec().recurrent);
  const std::vector<int64_t> all{0, 1, 2};
  const std::vector<Example> rows = test::random_examples({4, 3, 6}, 64);
  for (const int64_t length : {1, 2, 7}) {
    std::vector<Example> longer = rows;
    const Example prompt = test::random_examples({length}, 64, 5).front();
    for (Example& row : longer) {
      row.tokens.insert(row.tokens.begin(), prompt.tokens.begin(), prompt.tokens.end());
      row.labels.insert(row.labels.begin(), prompt.tokens.size(), no_target);
    }
    const Batch shared = make_training_batch(longer, all, true);
    const double expected = loss(make_training_batch(longer, all, false));
    EXPECT_NEAR(loss(shared), expected, 1e-10 * expected) << length;
  }
}

TEST_P(RecurrentFamily, GoesOnFromACacheInPiecesOfAnySize) {
  const at::NoGradGuard no_grad;
  const std::vector<int64_t> tokens = test::random_examples({20}, 64).front().tokens;
  KvCache cache(3, 64);
  for (const int64_t slot : {2, 0, 2}) {
    cache.clear(slot);  // the second text in slot 2 must see nothing of the first
    int64_t begin = 0;
    for (const int64_t end : {1, 2, 7, 8, 20}) {
      Batch piece{{tokens.begin() + begin, tokens.begin() + end}, {}, {0, end - begin}, {}, {slot}, {}, {}};
      for (int64_t i = begin; i < end; ++i) piece.positions.push_back(i);
      const at::Tensor cached =
          batch_logits(*model_, {&piece}, Hooks(), std::vector<int64_t>{end - begin - 1}, &cache);
      const std::vector<int64_t> all(tokens.begin(), tokens.begin() + end);
      const Batch whole = test::batch_of({{all, all}});
      const at::Tensor expected =
          batch_logits(*model_, {&whole}, Hooks(), std::vector<int64_t>{end - 1}, nullptr);
      EXPECT_LT((cached - expected).abs().max().item<double>(), 1e-5) << slot << " " << end;
      begin = end;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, RecurrentFamily, testing::Values("lfm2", "qwen3_5"),
                         [](const auto& info) { return std::string(info.param); });

/// The greedy text with a cache, from a folder of the reference.
class GoldenRecurrent : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(GoldenRecurrent, GreedyTextIsTransformers) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << "no reference checkpoints beside the source tree (LOWRANK_SHARED)";
  const std::filesystem::path families = *shared / "golden/families";
  const nlohmann::json expected =
      read_json_file(families / GetParam().second / "expected.json", 1 << 20)["greedy"];
  const auto checkpoint = Checkpoint::open(families / GetParam().first);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  const at::NoGradGuard no_grad;
  KvCache cache(1, 64);
  std::vector<int64_t> next = expected["prompt"];
  int64_t position = 0;
  for (const int64_t token : expected["continuation"].get<std::vector<int64_t>>()) {
    Batch batch{next, {}, {0, std::ssize(next)}, {}, {0}, {}, {}};
    for (size_t i = 0; i < next.size(); ++i) batch.positions.push_back(position++);
    const at::Tensor logits =
        batch_logits(*model, {&batch}, Hooks(), std::vector<int64_t>{std::ssize(next) - 1}, &cache);
    EXPECT_EQ(at::argmax(logits[0]).item<int64_t>(), token) << position;
    next = {token};
  }
}

/// Qwen 3.5's small outputs of the delta rule are blown up by the norm: transformers itself is 2e-4 from f64.
TEST_P(GoldenRecurrent, PackedLogitsAreTransformers) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << "no reference checkpoints beside the source tree (LOWRANK_SHARED)";
  const std::filesystem::path families = *shared / "golden/families";
  const std::filesystem::path folder = families / GetParam().second;
  const nlohmann::json texts = read_json_file(folder / "expected.json", 1 << 20);
  const SafetensorsFile expected = SafetensorsFile::open(folder / "expected.safetensors");
  std::vector<Example> examples;
  std::vector<std::string> names;
  const auto add = [&](const nlohmann::json& text, const std::string& name) {
    const std::vector<int64_t> tokens = text["input_ids"];
    examples.push_back({tokens, tokens});
    names.push_back(name);
  };
  if (texts.contains("long")) add(texts["long"], "logits_long");
  for (size_t i = 0; i < texts["sequences"].size(); ++i)
    add(texts["sequences"][i], "logits_" + std::to_string(i));
  const auto checkpoint = Checkpoint::open(families / GetParam().first);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  const Batch batch = test::batch_of(examples);
  std::vector<int64_t> rows(batch.token_count());
  std::iota(rows.begin(), rows.end(), 0);
  const at::Tensor logits = batch_logits(*model, {&batch}, Hooks(), rows, nullptr);
  for (size_t i = 0; i < names.size(); ++i) {
    const StoredTensor& stored = *expected.find(names[i]);
    const at::Tensor theirs =
        at::from_blob(const_cast<std::byte*>(stored.bytes.data()), stored.shape, at::kFloat);
    const at::Tensor ours = logits.narrow(0, batch.offsets[i + 1] - theirs.size(0), theirs.size(0));
    EXPECT_LT((ours - theirs).abs().max().item<double>(), 5e-4) << names[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, GoldenRecurrent,
                         testing::Values(std::pair{"lfm2", "lfm2"}, std::pair{"gguf/lfm2.gguf", "lfm2"},
                                         std::pair{"qwen3_5_text", "qwen3_5_text"},
                                         std::pair{"qwen3_5_wrapper", "qwen3_5_text"},
                                         std::pair{"gguf/qwen35.gguf", "qwen3_5_text"},
                                         std::pair{"gguf/qwen35_mtp.gguf", "qwen3_5_text"}),
                         [](const auto& info) {
                           std::string name = info.param.first;
                           std::ranges::replace_if(
                               name, [](char c) { return c == '/' || c == '.'; }, '_');
                           return name;
                         });

TEST(Lfm2, BadConfigurationsNameTheKey) {
  const auto refused = [](const char* key, const nlohmann::json& value) {
    nlohmann::json config = test::tiny_config("lfm2");
    config.erase("layer_types");
    config[key] = value;
    test::expect_error(ErrorKind::invalid, "config", key,
                       [&] { family_of_model_type("lfm2", "test").spec(config); });
  };
  refused("layer_types", {"conv", "full_attention"});
  refused("layer_types", {"conv", "sliding_attention", "conv"});
  refused("layer_types", {"conv", "conv", "conv"});
  refused("full_attn_idxs", {3});
  refused("full_attn_idxs", {0.5});
  refused("conv_L_cache", 17);
  refused("conv_L_cache", 0);
  refused("conv_dim", 16);
  refused("block_ff_dim", 0);
  refused("norm_eps", -1);
}

TEST(Lfm2, WidthsAreRoundedUpAsTransformersDoes) {
  nlohmann::json config = test::tiny_config("lfm2");
  config.erase("block_auto_adjust_ff_dim");
  config["block_ff_dim"] = 12288;
  const auto width = [&] {
    return family_of_model_type("lfm2", "test")
        .spec(config)
        .find_module("model.layers.0.feed_forward.w1")
        ->out;
  };
  EXPECT_EQ(width(), 8192);
  config["block_ff_dim"] = 100;
  EXPECT_EQ(width(), 256);
  config["block_ffn_dim_multiplier"] = 4.0;
  EXPECT_EQ(width(), 512);
}

TEST(Qwen35, BadConfigurationsNameTheKey) {
  const auto refused = [](const char* key, const nlohmann::json& value) {
    nlohmann::json config = test::tiny_config("qwen3_5");
    config[key] = value;
    test::expect_error(ErrorKind::invalid, "config", key,
                       [&] { family_of_model_type("qwen3_5_text", "test").spec(config); });
  };
  refused("layer_types", {"linear_attention", "full_attention"});
  refused("layer_types", {"linear_attention", "sliding_attention", "linear_attention"});
  refused("layer_types", {"linear_attention", "linear_attention", "linear_attention"});
  refused("linear_num_value_heads", 3);
  refused("linear_conv_kernel_dim", 17);
  refused("linear_key_head_dim", 0);
  refused("partial_rotary_factor", 2);
  nlohmann::json wrapper = test::tiny_config("qwen3_5");
  wrapper["model_type"] = "qwen3_5";
  test::expect_error(ErrorKind::invalid, "config", "text_config",
                     [&] { family_of_model_type("qwen3_5", "test").spec(wrapper); });
}

/// Three rows, then four heads of two rows on two key heads: 0 1 on the first, 2 3 on the second.
TEST(Qwen35, GgufFilesOrderValueHeadsByTheirPlaceOnTheKeyHead) {
  TensorRef tensor{"w", "w", {11, 8}, 0, Role::mixer_in};
  tensor.gguf_heads = {2, 2, 3, false};
  const at::Tensor rows = at::arange(11).unsqueeze(1).repeat({1, 8});
  const at::Tensor stored = in_gguf_row_order(rows, tensor);
  const std::vector<int64_t> expected{0, 1, 2, 3, 4, 7, 8, 5, 6, 9, 10};
  for (int64_t i = 0; i < 11; ++i) EXPECT_EQ(stored[i][0].item<int64_t>(), expected[i]) << i;
  EXPECT_TRUE(at::equal(from_gguf_row_order(stored, tensor), rows));
  tensor.gguf_heads = {2, 2, 0, true};
  const at::Tensor columns = at::arange(8).unsqueeze(0).repeat({2, 1});
  const at::Tensor turned = in_gguf_column_order(columns, tensor);
  const std::vector<int64_t> places{0, 1, 4, 5, 2, 3, 6, 7};
  for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(turned[1][i].item<int64_t>(), places[i]) << i;
  EXPECT_TRUE(at::equal(from_gguf_column_order(turned, tensor), columns));
}

}  // namespace
}  // namespace lowrank
