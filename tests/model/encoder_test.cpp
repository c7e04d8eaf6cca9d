// BERT and RoBERTa: what transformers computes, on tiny random checkpoints and on MiniLM's real weights.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/max.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "formats/safetensors.h"
#include "model/checkpoint.h"
#include "model/registry.h"
#include "support/expect_error.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

double difference(const at::Tensor& ours, const nlohmann::json& theirs) {
  return at::max(at::abs(ours - at::tensor(theirs.get<std::vector<float>>()))).item<double>();
}

class TinyEncoder : public testing::TestWithParam<const char*> {};

TEST_P(TinyEncoder, StatesScoresAndLossesEqualTransformers) {
  const std::filesystem::path folder = test::fixture("tiny_encoders") / GetParam();
  const nlohmann::json expected = read_json_file(folder / "expected.json", 1 << 20)["sequences"];
  const auto checkpoint = Checkpoint::open(folder);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  std::vector<Example> examples;
  for (const nlohmann::json& sequence : expected) {
    Example& example = examples.emplace_back();
    example.tokens = sequence["ids"].get<std::vector<int64_t>>();
    example.label = sequence.value("label", 0.0);
  }
  // One packed batch: the texts must not see each other.
  const Batch batch = test::batch_of(examples);
  const Context context{&batch};
  const at::Tensor means = sequence_embeddings(*model, context, Hooks(), Pooling::mean);
  for (int64_t i = 0; i < std::ssize(expected); ++i) {
    EXPECT_LT(difference(means[i], expected[i]["mean"]), 1e-5);
    EXPECT_GT(at::max(at::abs(means[i])).item<double>(), 0.1);
  }
  if (!checkpoint->spec().labels) return;
  const at::Tensor scores = sequence_scores(*model, context, Hooks());
  const at::Tensor losses = batch_loss(*model, context, Hooks()).nll;
  for (int64_t i = 0; i < std::ssize(expected); ++i) {
    EXPECT_LT(difference(scores[i], expected[i]["scores"]), 1e-5);
    EXPECT_NEAR(losses[i].item<double>(), expected[i]["loss"].get<double>(), 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, TinyEncoder,
                         testing::Values("bert", "bert_legacy", "bert_plain", "bert_value", "roberta"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Encoder, EmbeddingsOfMiniLmEqualTransformers) {
  const auto folder = test::minilm();
  if (!folder) GTEST_SKIP() << "LOWRANK_MINILM names no MiniLM folder (tools/setup minilm)";
  const nlohmann::json expected = read_json_file(test::fixture("tiny_encoders/minilm.json"), 1 << 20)["rows"];
  const auto checkpoint = Checkpoint::open(*folder);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  std::vector<Example> examples;
  for (const nlohmann::json& row : expected) {
    examples.push_back({row["ids"].get<std::vector<int64_t>>(), {}, 1, 0.0});
  }
  const Batch batch = test::batch_of(examples);
  const at::Tensor means = sequence_embeddings(*model, {&batch}, Hooks(), Pooling::mean);
  for (int64_t i = 0; i < std::ssize(expected); ++i)
    EXPECT_LT(difference(means[i] / means[i].norm(), expected[i]["embedding"]), 1e-5) << "text " << i;
}

/// Provides the parts of a label head that are in a separate file.
struct HeadFromFile : Hooks {
  explicit HeadFromFile(const std::filesystem::path& path) : file(SafetensorsFile::open(path)) {}
  at::Tensor weight(const Context&, const TensorRef& tensor) const override {
    const StoredTensor& stored = *file.find(tensor.name.substr(tensor.name.rfind('.') + 1));
    return at::from_blob(const_cast<std::byte*>(stored.bytes.data()), stored.shape, at::kFloat).clone();
  }
  SafetensorsFile file;
};

TEST(Encoder, ScoresOfMiniLmWithAHeadEqualTransformers) {
  const auto folder = test::minilm();
  if (!folder) GTEST_SKIP() << "LOWRANK_MINILM names no MiniLM folder (tools/setup minilm)";
  const nlohmann::json expected = read_json_file(test::fixture("golden/base_bert/expected.json"), 1 << 20);
  const auto checkpoint = Checkpoint::open(*folder, LabelSet{{"no", "yes"}});
  LoadOptions options = test::in_f32();
  options.use = [](const TensorRef& tensor) {
    return tensor.name.starts_with("classifier.") ? TensorUse::trained : TensorUse::frozen;
  };
  const auto model = checkpoint->family().load(checkpoint, options);
  const HeadFromFile head(test::fixture("golden/base_bert/classifier.safetensors"));
  const Batch batch = test::batch_of({{expected["input_ids"], {}, 1, expected["labels"][0].get<double>()}});
  const at::Tensor scores = sequence_scores(*model, {&batch}, head);
  const nlohmann::json& top = expected["top8"];
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(scores[0][top["indices"][i].get<int64_t>()].item<double>(), top["values"][i].get<double>(),
                1e-4);
  }
  EXPECT_NEAR(batch_loss(*model, {&batch}, head).loss.item<double>(), expected["loss"].get<double>(), 1e-5);
}

TEST(Encoder, AHeadThatTheFolderLacksMustComeFromElsewhere) {
  const std::filesystem::path folder = test::fixture("tiny_encoders/bert_plain");
  const auto checkpoint = Checkpoint::open(folder, LabelSet{{"a", "b"}});
  test::expect_error(ErrorKind::invalid, "bert_plain", "no tensor classifier.bias; a head that is new",
                     [&] { checkpoint->family().load(checkpoint, test::in_f32()); });
  const TensorRef& head = *checkpoint->spec().find_tensor("classifier.weight");
  EXPECT_NEAR(checkpoint->start(head, 1).std().item<double>(), 0.02, 0.01);
  EXPECT_EQ(
      checkpoint->start(*checkpoint->spec().find_tensor("classifier.bias"), 1).abs().sum().item<double>(), 0);
  test::expect_error(ErrorKind::unsupported, "linear", "the family llama has no label head", [] {
    Checkpoint::open(test::fixture("tiny_llama/linear"), LabelSet{{"a", "b"}});
  });
}

}  // namespace
}  // namespace lowrank
