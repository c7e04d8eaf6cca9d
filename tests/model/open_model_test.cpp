// Folders and files found in practice: odd but valid ones open as in transformers, others are refused in one
// sentence that names the file and the key.
#include <functional>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "formats/safetensors.h"
#include "support/adapters.h"
#include "support/expect_error.h"
#include "support/load_forms.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

using Rename = std::function<std::string(const std::string&)>;  // empty: the tensor is left out

class OpenModel : public testing::Test {
 protected:
  std::filesystem::path base() const { return folder.path() / "base"; }
  void write_config(const nlohmann::json& config) { folder.write("base/config.json", config.dump()); }

  /// Rewrites the tensors under other names.
  void rename(const Rename& rename) {
    const std::filesystem::path path = base() / "model.safetensors";
    std::vector<StoredTensor> tensors;
    std::vector<std::vector<std::byte>> bytes;
    {
      const SafetensorsFile file = SafetensorsFile::open(path);
      for (const StoredTensor& tensor : file.tensors()) {
        if (rename(tensor.name).empty()) continue;
        tensors.push_back(tensor);
        tensors.back().name = rename(tensor.name);
        bytes.emplace_back(tensor.bytes.begin(), tensor.bytes.end());
      }
    }
    for (size_t i = 0; i < tensors.size(); ++i) tensors[i].bytes = bytes[i];
    write_safetensors(path, tensors);
  }

  void refuse(const nlohmann::json& config, std::string_view part) {
    write_config(config);
    test::expect_error(ErrorKind::invalid, "config.json", part, [&] { Checkpoint::open(base()); });
  }

  at::Tensor logits() const { return test::logits_of(Checkpoint::open(base()), Hooks{}); }

  test::TemporaryFolder folder;
};

TEST_F(OpenModel, CountsThatCannotBeAreRefusedByName) {
  const nlohmann::json good = test::tiny_llama_config();
  test::write_tiny_model(base(), good);
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                          "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings"}) {
    for (const nlohmann::json& value : {nlohmann::json(0), nlohmann::json(-1), nlohmann::json(1e30),
                                        nlohmann::json(2.5), nlohmann::json("8"), nlohmann::json::array()}) {
      nlohmann::json config = good;
      config[key] = value;
      refuse(config, key);
    }
  }
}

TEST_F(OpenModel, AHeadSizeThatOtherKeysMakeZeroIsRefused) {
  nlohmann::json config = test::tiny_llama_config();
  test::write_tiny_model(base(), config);
  config.erase("head_dim");
  config["num_attention_heads"] = 64;
  refuse(config, "num_attention_heads");
  config["hidden_size"] = 100;
  config["num_attention_heads"] = 3;
  config["num_key_value_heads"] = 3;
  refuse(config, "num_attention_heads");
  config = test::tiny_llama_config();
  config["num_key_value_heads"] = 3;
  refuse(config, "num_key_value_heads");
}

TEST_F(OpenModel, ASmallFileOfAHugeModelIsRefusedBeforeItCostsMemory) {
  nlohmann::json config = test::tiny_llama_config();
  test::write_tiny_model(base(), config);
  config["num_hidden_layers"] = 3'000'000;
  refuse(config, "num_hidden_layers must be a whole number from 1 to 10000");
  config = test::tiny_llama_config();
  config["head_dim"] = 2'000'000'000;
  refuse(config, "head_dim");
  config = test::tiny_llama_config();
  config["vocab_size"] = config["hidden_size"] = 2'147'483'647;
  write_config(config);
  test::expect_error(ErrorKind::invalid, "config.json", "parameters", [&] { read_spec(base()); });
}

TEST_F(OpenModel, NullIsAbsent) {
  nlohmann::json config = test::tiny_llama_config();
  test::write_tiny_model(base(), config);
  const at::Tensor plain = logits();
  for (const char* key : {"rope_theta", "rope_scaling", "rope_parameters", "head_dim", "sliding_window",
                          "layer_types", "attention_bias", "mlp_bias", "tie_word_embeddings", "hidden_act",
                          "quantization_config", "torch_dtype"})
    config[key] = nullptr;
  config["dtype"] = "float32";
  write_config(config);
  EXPECT_EQ(test::largest_difference(logits(), plain), 0);
  config["rope_parameters"] = {{"rope_theta", nullptr}, {"rope_type", nullptr}, {"type", "default"}};
  write_config(config);
  EXPECT_EQ(test::largest_difference(logits(), plain), 0);
}

TEST_F(OpenModel, ValuesOfAnotherTypeAreNamed) {
  const nlohmann::json good = test::tiny_llama_config();
  test::write_tiny_model(base(), good);
  for (const char* key :
       {"rope_theta", "rms_norm_eps", "tie_word_embeddings", "hidden_act", "layer_types", "attention_bias"}) {
    nlohmann::json config = good;
    config[key] = {{"a", 1}};
    refuse(config, key);
  }
  nlohmann::json config = good;
  config["rope_scaling"] = {{"rope_type", 3}};
  refuse(config, "rope_type");
  config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", "2"}};
  refuse(config, "factor");
  config = good;
  config["rms_norm_eps"] = -1;
  refuse(config, "rms_norm_eps");
}

TEST_F(OpenModel, AnotherHeadThanTheEmbeddingIsNotTied) {
  for (nlohmann::json config :
       {test::tiny_llama_config(), test::tiny_gpt2_config(), test::tiny_gemma3_config()}) {
    config["tie_word_embeddings"] = false;
    test::write_tiny_model(base(), config);
    const at::Tensor own = logits();
    config["tie_word_embeddings"] = true;
    write_config(config);
    const auto checkpoint = Checkpoint::open(base());
    EXPECT_FALSE(checkpoint->spec().tied_head);
    EXPECT_EQ(checkpoint->spec().config["tie_word_embeddings"], false);
    ASSERT_EQ(checkpoint->notes().size(), 1U);
    EXPECT_NE(checkpoint->notes().front().find("lm_head.weight"), std::string::npos);
    EXPECT_EQ(test::largest_difference(logits(), own), 0);
  }
}

TEST_F(OpenModel, EitherOfATiedPairMayBeStored) {
  nlohmann::json config = test::tiny_llama_config();
  config["tie_word_embeddings"] = true;
  test::write_tiny_model(base(), config);
  const at::Tensor tied = logits();
  rename(
      [](const std::string& name) { return name == "model.embed_tokens.weight" ? "lm_head.weight" : name; });
  const auto checkpoint = Checkpoint::open(base());
  EXPECT_TRUE(checkpoint->spec().tied_head);
  EXPECT_TRUE(checkpoint->notes().empty());
  EXPECT_EQ(test::largest_difference(logits(), tied), 0);
}

TEST_F(OpenModel, NamesMayLeaveOutTheModelsPrefix) {
  test::write_tiny_model(base(), test::tiny_llama_config());
  const at::Tensor plain = logits();
  rename([](const std::string& name) { return name.starts_with("model.") ? name.substr(6) : name; });
  EXPECT_EQ(test::largest_difference(logits(), plain), 0);
}

TEST_F(OpenModel, FoldersThatAreNoneSayWhatToGive) {
  std::filesystem::create_directories(base());
  test::expect_error(ErrorKind::not_found, base().string(), "no config.json",
                     [&] { Checkpoint::open(base()); });
  folder.write("base/small.gguf", "GGUF");
  try {
    Checkpoint::open(base());
    ADD_FAILURE() << "opened";
  } catch (const Error& error) {
    EXPECT_NE(error.hint().find("small.gguf"), std::string::npos) << error.hint();
  }
}

TEST_F(OpenModel, FoldersQuantisedByOtherToolsAreRefusedByTheirMethod) {
  nlohmann::json config = test::tiny_llama_config();
  test::write_tiny_model(base(), config);
  rename([](const std::string& name) {
    return name.ends_with("proj.weight") ? name.substr(0, name.size() - 6) + "qweight" : name;
  });
  config["quantization_config"] = {{"quant_method", "gptq"}, {"bits", 4}};
  write_config(config);
  test::expect_error(ErrorKind::unsupported, base().string(), "quant_method \"gptq\"",
                     [&] { Checkpoint::open(base()); });
}

TEST_F(OpenModel, ATextBeyondGpt2sPositionsIsToldAsSuch) {
  test::write_tiny_model(base(), test::tiny_gpt2_config());
  const auto checkpoint = Checkpoint::open(base());
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  const Batch batch = test::batch_of(test::random_examples({65}, 64));
  test::expect_error(ErrorKind::invalid, "", "position 64",
                     [&] { batch_logits(*model, {&batch}, Hooks{}, std::vector<int64_t>{0}, nullptr); });
}

}  // namespace
}  // namespace lowrank
