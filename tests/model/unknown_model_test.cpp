// A model of an unknown kind is refused with the nearest family and what differs.
#include <fstream>
#include <functional>

#include <gtest/gtest.h>

#include "formats/safetensors.h"
#include "support/expect_error.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

class UnknownModel : public testing::Test {
 protected:
  std::filesystem::path place() const { return folder.path() / "model"; }

  /// A tiny model of a known family, to be changed.
  void make(const nlohmann::json& config) { test::write_tiny_model(place(), config); }
  void configure(const nlohmann::json& config) { folder.write("model/config.json", config.dump()); }

  /// Rewrites the tensors under other names; empty: without that one. `more`: with values of 4 of its own.
  void rename(const std::function<std::string(const std::string&)>& renamed,
              const std::vector<std::string>& more = {}) {
    std::vector<StoredTensor> tensors;
    std::vector<std::vector<std::byte>> bytes;
    const std::filesystem::path path = place() / "model.safetensors";
    {
      const SafetensorsFile file = SafetensorsFile::open(path);
      for (StoredTensor tensor : file.tensors()) {
        tensor.name = renamed(tensor.name);
        if (tensor.name.empty()) continue;
        bytes.emplace_back(tensor.bytes.begin(), tensor.bytes.end());
        tensors.push_back(std::move(tensor));
      }
    }
    for (const std::string& name : more) {
      bytes.emplace_back(16);
      tensors.push_back({name, DType::f32, {4}, {}});
    }
    for (size_t i = 0; i < tensors.size(); ++i) tensors[i].bytes = bytes[i];
    write_safetensors(path, tensors);
  }

  std::string message() const { return message_of(place()); }
  static std::string message_of(const std::filesystem::path& path) {
    try {
      Checkpoint::open(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unsupported);
      EXPECT_LT(std::string(error.what()).size(), 1000U) << error.what();
      return std::string(error.what()) + " | " + error.hint();
    }
    ADD_FAILURE() << "no error";
    return {};
  }
  static void expect_parts(const std::string& message, const std::vector<std::string>& parts) {
    for (const std::string& part : parts)
      EXPECT_NE(message.find(part), std::string::npos) << message << "\nexpected: " << part;
  }

  test::TemporaryFolder folder;
};

std::string same(const std::string& name) {
  return name;
}

TEST_F(UnknownModel, ThatDiffersInNothingMayBeAKnownOneUnderAnotherName) {
  nlohmann::json config = test::tiny_llama_config();
  make(config);
  config["model_type"] = "yi";
  configure(config);
  expect_parts(message(), {"'yi' is not known", "differs from llama", "the model_type \"llama\""});
}

TEST_F(UnknownModel, IsNearestToTheKindWithItsTensors) {
  nlohmann::json config = test::tiny_llama_config();
  config["model_type"] = "qwen2";
  make(config);
  config["model_type"] = "llama_two";
  configure(config);
  // Neither the spelling decides, nor the family's first kind: these have no biases.
  expect_parts(message(), {"differs from qwen2 (of the family llama)", "the model_type \"qwen2\""});
}

TEST_F(UnknownModel, TellsSettingsAndTensorsWithoutAPlace) {
  nlohmann::json config = test::tiny_llama_config();
  make(config);
  rename(same,
         {"model.layers.0.input_layernorm.bias", "model.layers.1.input_layernorm.bias", "model.norm.bias"});
  config["model_type"] = "stablelm";
  config["use_parallel_residual"] = true;
  config["partial_rotary_factor"] = nullptr;
  config["torch_dtype"] = "float32";
  configure(config);
  const std::string text = message();
  expect_parts(text,
               {"the nearest that is, llama, reads this configuration and has a place for 21 of 24 tensors",
                "settings that it does not read: use_parallel_residual",
                "tensors without a place: model.layers.*.input_layernorm.bias (2), model.norm.bias",
                "known are bert, "});
  EXPECT_EQ(text.find("missing"), std::string::npos) << text;
  EXPECT_EQ(text.find("torch_dtype"), std::string::npos) << text;
}

TEST_F(UnknownModel, TellsWhatIsMissingOrOfAnotherShape) {
  nlohmann::json config = test::tiny_llama_config();
  make(config);
  rename([](const std::string& name) { return name.ends_with("up_proj.weight") ? "" : name; });
  config["model_type"] = "other";
  config["num_key_value_heads"] = 4;
  configure(config);
  expect_parts(message(),
               {"tensors that are missing: model.layers.*.mlp.up_proj.weight (2)",
                "of another shape: model.layers.*.self_attn.k_proj.weight [16, 32], not [32, 32] (2)"});
}

TEST_F(UnknownModel, IsComparedUnderOtherNames) {
  nlohmann::json config = test::tiny_llama_config();
  make(config);
  rename([](const std::string& name) {
    std::string other = name;
    const auto replace = [&](std::string_view from, std::string_view to) {
      const size_t at = other.find(from);
      if (at != std::string::npos) other.replace(at, from.size(), to);
    };
    replace("model.layers", "transformer.h");
    replace("self_attn.", "attn.attention.");
    replace("model.embed_tokens", "transformer.wte");
    return other;
  });
  config["model_type"] = "exaone";
  config["num_layers"] = config["num_hidden_layers"];
  config.erase("num_hidden_layers");
  configure(config);
  expect_parts(message(),
               {"settings under other names: num_layers (read as num_hidden_layers)",
                "have the shape of a missing one", "transformer.h.*.attn.attention.q_proj.weight"});
}

TEST_F(UnknownModel, OfSeveralPartsIsComparedByItsTextPart) {
  nlohmann::json text = test::tiny_llama_config();
  make(text);
  rename([](const std::string& name) { return "language_model." + name; }, {"vision_tower.patch.weight"});
  text["model_type"] = "llama";
  configure({{"model_type", "llava_next"}, {"text_config", text}, {"vision_config", {{"hidden_size", 4}}}});
  expect_parts(message(), {"the nearest that is, llama", "place for 21 of 22 tensors",
                           "another beginning of names: language_model.model.", "vision_tower.patch.weight"});
}

TEST_F(UnknownModel, TellsWhatTheFamilyRefuses) {
  nlohmann::json config = test::tiny_llama_config();
  make(config);
  config["model_type"] = "gelu_llama";
  config["hidden_act"] = "relu2";
  configure(config);
  expect_parts(message(), {"settings that it refuses: config: hidden_act must be"});
}

TEST_F(UnknownModel, WithoutWeightsIsComparedByItsConfiguration) {
  nlohmann::json config = test::tiny_config("mixtral");
  config["model_type"] = "mixtral2";
  config["gate_bias"] = true;
  std::filesystem::create_directories(place());
  configure(config);
  const std::string text = message();
  expect_parts(text, {"gate_bias"});
  EXPECT_EQ(text.find("tensors"), std::string::npos) << text;
}

TEST_F(UnknownModel, WithImpossibleSizesIsRefusedAtOnce) {
  std::filesystem::create_directories(place());
  for (const auto& [key, value] : {std::pair{"num_hidden_layers", 10'000}, {"num_local_experts", 200'000}}) {
    nlohmann::json config = test::tiny_config("mixtral");
    config["model_type"] = "x\n\x1b[2J";
    config[key] = value;
    configure(config);
    const std::string text = message();
    expect_parts(text, {"is not known; known are bert"});
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
  }
  configure({{"model_type", "empty"}});
  expect_parts(message(), {"'empty' is not known; known are bert"});
}

TEST_F(UnknownModel, InAGgufFileIsComparedByKeysAndTensors) {
  std::string bytes = test::content_of(test::fixture("tiny_decoders/qwen3.gguf"));
  for (size_t at = bytes.find("qwen3"); at != std::string::npos; at = bytes.find("qwen3", at))
    bytes.replace(at, 5, "exaon");
  const std::filesystem::path path = folder.write("exaone.gguf", bytes);
  expect_parts(message_of(path), {"general.architecture 'exaon' is not known", "differs from qwen3"});
  for (size_t at = bytes.find("attn_q_norm"); at != std::string::npos; at = bytes.find("attn_q_norm", at))
    bytes.replace(at, 11, "attn_q_gain");
  folder.write("exaone.gguf", bytes);
  expect_parts(message_of(path),
               {"the nearest that is, qwen3,", "without a place: blk.*.attn_q_gain.weight (3)",
                "missing: blk.*.attn_q_norm.weight (3)", "known are gemma2"});
}

}  // namespace
}  // namespace lowrank
