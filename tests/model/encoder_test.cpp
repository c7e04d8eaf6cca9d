// BERT, RoBERTa, XLM-RoBERTa and ModernBERT: what transformers computes, on tiny random checkpoints and on
// MiniLM's real weights.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/max.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "formats/safetensors.h"
#include "model/checkpoint.h"
#include "model/encoders/rotary_encoder_config.h"
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

/// A class or a value, or for each class whether the text has it.
void set_label(Example& example, const nlohmann::json& label) {
  if (label.is_number()) {
    example.label = label.get<double>();
    return;
  }
  for (size_t i = 0; i < label.size(); ++i) {
    if (label[i] == 1.0) example.classes.push_back(static_cast<int64_t>(i));
  }
  example.label = static_cast<double>(example.classes.size());
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
    example.type_one_tokens = sequence.value("type_one", 0);
    set_label(example, sequence.value("label", nlohmann::json(0.0)));
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
                         testing::Values("bert", "bert_legacy", "bert_pair", "bert_plain", "bert_several",
                                         "bert_value", "modernbert", "modernbert_mean", "modernbert_plain",
                                         "roberta", "xlm_roberta"),
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

class GoldenEncoder : public testing::TestWithParam<const char*> {};

TEST_P(GoldenEncoder, StatesScoresAndLossesEqualTransformers) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << "no reference checkpoints beside the source tree (LOWRANK_SHARED)";
  const std::filesystem::path folder = *shared / "golden/families" / GetParam();
  const nlohmann::json expected = read_json_file(folder / "expected.json", 1 << 20)["sequences"];
  const SafetensorsFile states = SafetensorsFile::open(folder / "expected.safetensors");
  const auto checkpoint = Checkpoint::open(folder);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  std::vector<Example> examples;
  for (const nlohmann::json& sequence : expected)
    examples.push_back({sequence["input_ids"], {}, 1, sequence["label"].get<double>()});
  const Batch batch = test::batch_of(examples);
  const at::Tensor hidden = model->forward({&batch}, Hooks(), nullptr).stream;
  const at::Tensor scores = sequence_scores(*model, {&batch}, Hooks());
  const at::Tensor losses = batch_loss(*model, {&batch}, Hooks()).nll;
  for (int64_t i = 0; i < std::ssize(expected); ++i) {
    const StoredTensor& stored = *states.find("hidden_" + std::to_string(i));
    const at::Tensor theirs =
        at::from_blob(const_cast<std::byte*>(stored.bytes.data()), stored.shape, at::kFloat);
    const at::Tensor ours = hidden.narrow(0, batch.offsets[i], theirs.size(0));
    EXPECT_LT(at::max(at::abs(ours - theirs)).item<double>(), 1e-4);
    EXPECT_LT(difference(scores[i], expected[i]["scores"]), 1e-4);
    EXPECT_NEAR(losses[i].item<double>(), expected[i]["loss"].get<double>(), 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, GoldenEncoder, testing::Values("modernbert", "xlm_roberta"),
                         [](const auto& info) { return std::string(info.param); });

/// A configuration of ModernBERT with one key changed.
void expect_refused(const char* key, const nlohmann::json& value, std::string_view part) {
  nlohmann::json config = read_json_file(test::fixture("tiny_encoders/modernbert/config.json"), 1 << 20);
  config[key] = value;
  test::expect_error(ErrorKind::invalid, "config: " + std::string(key), part,
                     [&] { family_of_model_type("modernbert", "config").spec(config); });
}

TEST(Encoder, ModernBertNamesTheKeyThatIsWrong) {
  expect_refused("classifier_pooling", "max", "must be cls or mean");
  expect_refused("layer_types", {"full_attention"}, "must name the type of each layer");
  expect_refused("layer_types", {"full_attention", "chunked", "full_attention", "full_attention"},
                 "must be full_attention or sliding_attention");
  expect_refused("rope_parameters", {{"rope_theta", 1e4}}, "must have full_attention and sliding_attention");
  expect_refused("num_attention_heads", 32, "heads of an even size");
  expect_refused("local_attention", 0, "must be");
  expect_refused("hidden_activation", "mish", "hidden_activation");
}

TEST(Encoder, ModernBertReadsOlderConfigurations) {
  nlohmann::json config = read_json_file(test::fixture("tiny_encoders/modernbert/config.json"), 1 << 20);
  const RotaryEncoderConfig now = read_rotary_encoder_config(config);
  config.erase("layer_types");
  config.erase("rope_parameters");
  const RotaryEncoderConfig older = read_rotary_encoder_config(config);
  EXPECT_EQ(older.windows, now.windows);
  EXPECT_EQ(now.windows, (std::vector<int64_t>{0, 4, 0, 4}));
  config["global_rope_theta"] = 160000.0;
  config["local_rope_theta"] = 10000.0;
  const RotaryEncoderConfig named = read_rotary_encoder_config(config);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(older.rotary[i].inverse, now.rotary[i].inverse);
    EXPECT_EQ(named.rotary[i].inverse, now.rotary[i].inverse);
  }
  EXPECT_NE(now.rotary[0].inverse, now.rotary[1].inverse);
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
