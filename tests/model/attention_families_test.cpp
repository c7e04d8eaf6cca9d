// Decoders that differ in their attention: the text part of multimodal models, and configurations that are
// refused with the key's name.
#include <map>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "base/atomic_file.h"
#include "base/json.h"
#include "formats/safetensors.h"
#include "formats/safetensors_writer.h"
#include "model/checkpoint.h"
#include "model/registry.h"
#include "support/expect_error.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

at::Tensor logits_at(const fs::path& path) {
  const auto checkpoint = Checkpoint::open(path);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  const Batch batch = test::batch_of(test::random_examples({24}, checkpoint->spec().vocabulary_size));
  return batch_logits(*model, {&batch}, Hooks(), std::vector<int64_t>{3, 23}, nullptr);
}

/// Writes a model of one type as the text part of a multimodal one.
struct Multimodal {
  std::string text_family, type;
  /// Beginnings of the tensors' names in the text model and in the other.
  std::map<std::string, std::string> names;
  std::string other_part;
  std::string module;  ///< one that an adapter can name

  void write(const fs::path& text, const fs::path& folder, bool with_other_part) const {
    fs::create_directories(folder);
    const nlohmann::json config = read_json_file(text / "config.json", 1 << 20);
    const nlohmann::json outer = {{"model_type", type},
                                  {"text_config", config},
                                  {"tie_word_embeddings", config["tie_word_embeddings"]}};
    write_file_atomically(folder / "config.json", outer.dump());
    const SafetensorsFile stored = SafetensorsFile::open(text / "model.safetensors");
    std::vector<StoredTensor> tensors = stored.tensors();
    std::vector<std::string> renamed;
    for (const StoredTensor& tensor : tensors) {
      const auto entry =
          std::ranges::find_if(names, [&](const auto& pair) { return tensor.name.starts_with(pair.first); });
      renamed.push_back(entry->second + std::string(tensor.name).substr(entry->first.size()));
    }
    for (size_t i = 0; i < tensors.size(); ++i) tensors[i].name = renamed[i];
    const std::vector<float> other{1, 2};
    if (with_other_part) tensors.push_back({other_part, DType::f32, {2}, std::as_bytes(std::span(other))});
    write_safetensors(folder / "model.safetensors", tensors);
  }
};

void PrintTo(const Multimodal& of, std::ostream* out) {
  *out << of.type;
}

class MultimodalModel : public testing::TestWithParam<Multimodal> {
 protected:
  void SetUp() override { test::write_tiny_model(text(), test::tiny_config(GetParam().text_family)); }
  fs::path text() const { return folder_.path() / "text"; }
  fs::path whole() const { return folder_.path() / "whole"; }
  test::TemporaryFolder folder_;
};

TEST_P(MultimodalModel, ItsTextPartIsUsedAndTheRestToldOf) {
  GetParam().write(text(), whole(), true);
  const auto checkpoint = Checkpoint::open(whole());
  EXPECT_EQ(checkpoint->family().name, GetParam().text_family);
  EXPECT_NE(checkpoint->spec().find_module(GetParam().module), nullptr);
  ASSERT_EQ(checkpoint->notes().size(), 1U);
  EXPECT_NE(checkpoint->notes().front().find("1 of its tensors belong to other parts"), std::string::npos);
  ASSERT_EQ(checkpoint->other_tensors().size(), 1U);
  EXPECT_EQ(checkpoint->other_tensors().front().name, GetParam().other_part);
  EXPECT_TRUE(at::equal(logits_at(whole()), logits_at(text())));
}

TEST_P(MultimodalModel, OtherUnknownTensorsAreRefused) {
  Multimodal unknown = GetParam();
  unknown.other_part = "another.weight";
  unknown.write(text(), whole(), true);
  test::expect_error(ErrorKind::invalid, "the tensors do not fit", "unexpected another.weight",
                     [&] { Checkpoint::open(whole()); });
}

TEST_P(MultimodalModel, WithoutOtherPartsNothingIsTold) {
  GetParam().write(text(), whole(), false);
  EXPECT_TRUE(Checkpoint::open(whole())->notes().empty());
}

const Multimodal mistral3{"ministral3",
                          "mistral3",
                          {{"model.", "language_model.model."}, {"lm_head", "language_model.lm_head"}},
                          "vision_tower.patch_conv.weight",
                          "model.language_model.layers.0.self_attn.q_proj"};

const Multimodal gemma4{"gemma4",
                        "gemma4",
                        {{"model.", "model.language_model."}},
                        "model.vision_tower.patch_embedder.weight",
                        "model.language_model.layers.0.per_layer_input_gate"};

INSTANTIATE_TEST_SUITE_P(Families, MultimodalModel, testing::Values(mistral3, gemma4),
                         [](const auto& info) { return info.param.type; });

/// One key of a family's small configuration that is wrong.
struct WrongKey {
  const char* family;
  const char* key;
  nlohmann::json value;
};

void PrintTo(const WrongKey& wrong, std::ostream* out) {
  *out << wrong.family << ", " << wrong.key;
}

class WrongConfig : public testing::TestWithParam<WrongKey> {};

TEST_P(WrongConfig, NamesTheKey) {
  const auto& [family, key, value] = GetParam();
  nlohmann::json config = test::tiny_config(family);
  nlohmann::json* object = &config;
  std::string name = key;
  if (const size_t dot = name.find('.'); dot != std::string::npos) {
    object = &config[name.substr(0, dot)];
    name = name.substr(dot + 1);
  }
  (*object)[name] = value;
  const std::string type = config["model_type"];
  test::expect_error(ErrorKind::invalid, name, "must be",
                     [&] { family_of_model_type(type, "x").spec(config); });
}

INSTANTIATE_TEST_SUITE_P(
    Keys, WrongConfig,
    testing::Values(
        WrongKey{"ministral3", "rope_parameters", 7}, WrongKey{"ministral3", "hidden_act", "gelu"},
        WrongKey{"ministral3", "rope_parameters.llama_4_scaling_beta", "much"},
        WrongKey{"ministral3", "rope_parameters.original_max_position_embeddings", 0},
        WrongKey{"ministral3", "text_config", 3}, WrongKey{"glm4", "partial_rotary_factor", 2},
        WrongKey{"glm4", "attention_bias", "yes"}, WrongKey{"gemma2", "attn_logit_softcapping", 0},
        WrongKey{"gemma2", "final_logit_softcapping", -1}, WrongKey{"gemma2", "query_pre_attn_scalar", 0},
        WrongKey{"gemma2", "hidden_activation", "silu"},
        WrongKey{"gemma2", "use_bidirectional_attention", true},
        WrongKey{"gemma4", "num_kv_shared_layers", 4}, WrongKey{"gemma4", "num_kv_shared_layers", 1.5},
        WrongKey{"gemma4", "global_head_dim", 0}, WrongKey{"gemma4", "final_logit_softcapping", 0},
        WrongKey{"gemma4", "vocab_size_per_layer_input", 7},
        WrongKey{"gemma4", "hidden_size_per_layer_input", -1}));

TEST(AttentionFamilies, Gemma4sOtherFormsAreRefused) {
  nlohmann::json config = test::tiny_config("gemma4");
  config["use_bidirectional_attention"] = "all";
  test::expect_error(ErrorKind::unsupported, "use_bidirectional_attention", "supported",
                     [&] { family_of_model_type("gemma4_text", "x").spec(config); });
}

/// Some files have keys and values for layers that read those of another layer.
TEST(AttentionFamilies, UnusedKeysOfGemma4AreIgnored) {
  const test::TemporaryFolder folder;
  nlohmann::json config = test::tiny_config("gemma4");
  config["num_kv_shared_layers"] = 0;
  config["use_double_wide_mlp"] = false;
  test::write_tiny_model(folder.path() / "all", config);
  config["num_kv_shared_layers"] = 1;
  write_file_atomically(folder.path() / "all/config.json", config.dump());
  EXPECT_TRUE(Checkpoint::open(folder.path() / "all")->notes().empty());
}

TEST(AttentionFamilies, AnUncappedGemma2HasNullCaps) {
  const test::TemporaryFolder folder;
  nlohmann::json config = test::tiny_config("gemma2");
  test::write_tiny_model(folder.path() / "capped", config);
  config["attn_logit_softcapping"] = config["final_logit_softcapping"] = nullptr;
  test::write_tiny_model(folder.path() / "free", config);
  config["attn_logit_softcapping"] = config["final_logit_softcapping"] = 1e6;
  test::write_tiny_model(folder.path() / "barely", config);
  const at::Tensor free = logits_at(folder.path() / "free");
  const auto distance = [&](const char* name) {
    return (logits_at(folder.path() / name) - free).abs().max().item<double>();
  };
  EXPECT_LT(distance("barely"), 1e-5);
  EXPECT_GT(distance("capped"), 0.01);
}

}  // namespace
}  // namespace lowrank
