// Adapters as PEFT and other tools write and read them: odd but valid files mean what they mean there.
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/process.h"
#include "formats/safetensors.h"
#include "peft/files/adapter_labels.h"
#include "support/adapters.h"
#include "support/expect_error.h"

namespace lowrank {
namespace {

using Tensors = std::vector<std::pair<StoredTensor, std::vector<std::byte>>>;

class ReadAdapter : public testing::Test {
 protected:
  void SetUp() override {
    make(test::tiny_llama_config(), "lora", {{"rank", 4}, {"target_modules", "query-value"}});
  }

  /// A base with that configuration, and the files of a random adapter on it.
  void make(const nlohmann::json& model, const std::string& method, const nlohmann::json& options) {
    test::write_tiny_model(folder.path() / "base", model);
    checkpoint = Checkpoint::open(folder.path() / "base");
    const Adapter adapter = test::random_adapter(*checkpoint, options, method);
    save_adapter(path(), adapter, "org/base");
    expected = test::logits_of(checkpoint, begun(adapter));
    config = read_json_file(path() / "adapter_config.json", 1 << 20);
    tensors.clear();
    const SafetensorsFile file = SafetensorsFile::open(path() / "adapter_model.safetensors");
    for (const StoredTensor& tensor : file.tensors())
      tensors.emplace_back(tensor, std::vector<std::byte>(tensor.bytes.begin(), tensor.bytes.end()));
  }

  static const Hooks& begun(const Adapter& adapter) {
    adapter.method->begin_step({});
    return *adapter.method;
  }

  std::filesystem::path path() const { return folder.path() / "adapter"; }

  Adapter load() {
    std::vector<StoredTensor> list;
    for (auto& [tensor, bytes] : tensors) {
      tensor.bytes = bytes;
      list.push_back(tensor);
    }
    write_safetensors(path() / "adapter_model.safetensors", list);
    if (!text.empty()) {
      write_file_atomically(path() / "adapter_config.json", text);
    } else {
      write_file_atomically(path() / "adapter_config.json", config.dump());
    }
    return load_adapter(path(), *checkpoint);
  }
  void expect_same() {
    EXPECT_LT(test::largest_difference(test::logits_of(checkpoint, begun(load())), expected), 1e-6);
  }
  void rename(const std::string& from, const std::string& to) {
    for (auto& [tensor, bytes] : tensors) {
      const size_t at = tensor.name.find(from);
      if (at != std::string::npos) tensor.name.replace(at, from.size(), to);
    }
  }
  void add_copy_of(const std::string& of, const std::string& name) {
    const at::Tensor values = checkpoint->read(*checkpoint->spec().find_tensor(of), at::kFloat);
    const auto bytes = std::as_bytes(std::span(values.const_data_ptr<float>(), values.numel()));
    tensors.push_back({{name, DType::f32, values.sizes().vec(), {}}, {bytes.begin(), bytes.end()}});
  }

  test::TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  nlohmann::json config;
  std::string text;  ///< of adapter_config.json; empty: `config`
  Tensors tensors;
  at::Tensor expected;
};

TEST_F(ReadAdapter, TargetsThatThisModelLacksAreLeftAside) {
  config["target_modules"] = {"q_proj", "v_proj", "c_attn", "query_key_value"};
  config["layers_to_transform"] = {0, 1, 2, 17};
  expect_same();
  config["target_modules"] = {"c_attn"};
  EXPECT_THROW(load(), Error);
}

TEST_F(ReadAdapter, NamesOfPeftsMemory) {
  rename("lora_A.weight", "lora_A.default.weight");
  rename("lora_B.weight", "lora_B.default.weight");
  expect_same();
}

TEST_F(ReadAdapter, MagnitudesWithASuffix) {
  make(test::tiny_llama_config(), "dora", {{"rank", 4}});
  rename("lora_magnitude_vector", "lora_magnitude_vector.weight");
  expect_same();
  rename("lora_magnitude_vector.weight", "lora_magnitude_vector.default.weight");
  expect_same();
}

TEST_F(ReadAdapter, SavedEmbeddingsThatAreTheBases) {
  add_copy_of("model.embed_tokens.weight", "base_model.model.model.embed_tokens.weight");
  add_copy_of("lm_head.weight", "base_model.model.lm_head.weight");
  expect_same();
  tensors.back().second[2] ^= std::byte{0x7F};
  test::expect_error(ErrorKind::unsupported, "adapter_model.safetensors", "not the base model's own",
                     [&] { load(); });
}

TEST_F(ReadAdapter, StartsThatAreNotBuilt) {
  config["init_lora_weights"] = "eva";
  config["eva_config"] = {{"rho", 2.0}, {"tau", 0.99}};
  expect_same();
  EXPECT_TRUE(load().notes.empty());
  config["init_lora_weights"] = "corda";
  expect_same();
  EXPECT_EQ(load().notes.size(), 1U);
}

TEST_F(ReadAdapter, NullAndKeysOfNewerVersions) {
  for (const char* key : {"modules_to_save", "use_dora", "use_rslora", "lora_bias", "rank_pattern",
                          "alpha_pattern", "task_type", "exclude_modules", "bias", "init_lora_weights"})
    config[key] = nullptr;
  config["use_something"] = false;
  config["something_config"] = nlohmann::json::object();
  expect_same();
  EXPECT_TRUE(load().notes.empty());
  config["something_size"] = 16;
  ASSERT_EQ(load().notes.size(), 1U);
  EXPECT_NE(load().notes.front().find("something_size"), std::string::npos);
  config["use_something"] = true;
  test::expect_error(ErrorKind::unsupported, "adapter_config.json", "use_something", [&] { load(); });
}

TEST_F(ReadAdapter, AdaptersOnTheEncoderWithoutItsHead) {
  nlohmann::json model = test::tiny_encoder_config("bert");
  model["architectures"] = {"BertModel"};
  test::write_tiny_model(folder.path() / "base", model);
  checkpoint = Checkpoint::open(folder.path() / "base");
  const Adapter adapter =
      test::random_adapter(*checkpoint, {{"rank", 4}, {"target_modules", "query-value"}}, "lora");
  save_adapter(path(), adapter, "org/base");
  config = read_json_file(path() / "adapter_config.json", 1 << 20);
  config["task_type"] = "FEATURE_EXTRACTION";
  config["target_modules"] = R"(encoder\.layer\.\d+\.attention\.self\.(query|value))";
  tensors.clear();
  {
    const SafetensorsFile file = SafetensorsFile::open(path() / "adapter_model.safetensors");
    for (const StoredTensor& tensor : file.tensors())
      tensors.emplace_back(tensor, std::vector<std::byte>(tensor.bytes.begin(), tensor.bytes.end()));
  }
  rename("base_model.model.bert.", "base_model.model.");
  const Adapter loaded = load();
  EXPECT_EQ(test::largest_difference(loaded.parameters->values(), adapter.parameters->values()), 0);
}

TEST_F(ReadAdapter, PeftIsToldOfThePoolerThatNothingReads) {
  nlohmann::json model = test::tiny_encoder_config("bert");
  const auto excluded = [&](const std::string& name, const std::string& targets) {
    test::write_tiny_model(folder.path() / name, model);
    const auto base = Checkpoint::open(folder.path() / name);
    return test::random_adapter(*base, {{"target_modules", targets}}, "lora")
        .method->form()
        .config()["exclude_modules"];
  };
  EXPECT_TRUE(excluded("head", "dense").is_null());
  model["architectures"] = {"BertModel"};
  EXPECT_EQ(excluded("headless", "dense"), nlohmann::json({"pooler.dense"}));
  EXPECT_EQ(excluded("all", "all-linear"), nlohmann::json({"pooler.dense"}));
  EXPECT_TRUE(excluded("attention", "query,value").is_null());
}

TEST_F(ReadAdapter, TheFirstPatternInTheFileCounts) {
  config.erase("alpha_pattern");
  text = config.dump();
  text.insert(1, R"("alpha_pattern":{"q_proj":32,"model.layers.0.self_attn.q_proj":64},)");
  const nlohmann::json written = load().method->form().config()["alpha_pattern"];
  EXPECT_EQ(written["model.layers.0.self_attn.q_proj"], 32) << written;
  EXPECT_EQ(written["model.layers.1.self_attn.q_proj"], 32) << written;
  text.replace(text.find("q_proj\":32"), 10, "k_proj\":32");
  const Adapter other = load();
  ASSERT_EQ(other.notes.size(), 1U);
  EXPECT_NE(other.notes.front().find("\"k_proj\""), std::string::npos) << other.notes.front();
  EXPECT_EQ(other.method->form().config()["alpha_pattern"]["model.layers.0.self_attn.q_proj"], 64);
}

TEST_F(ReadAdapter, PatternsOfTheCommandLineKeepTheirOrderAndMustMatch) {
  const auto planned = [&](const std::string& key, const std::string& patterns) {
    auto method = method_named("lora").make();
    const std::vector<Field> fields = method->fields();
    set_text(*find_field(fields, key), patterns);
    return plan_adapter(method_named("lora"), std::move(method), checkpoint->spec());
  };
  const Adapter adapter = planned("alpha_pattern", "v_proj|q_proj=5,q_proj=32");
  const auto saved = adapter.method->form().config();
  for (const auto& [name, alpha] : saved["alpha_pattern"].items()) EXPECT_EQ(alpha, 5);
  const Adapter object = planned("rank_pattern", R"({"q_proj":3,"model.layers.0.self_attn.q_proj":2})");
  EXPECT_EQ(object.plan.parameters.front().shape.front(), 3);
  test::expect_error(ErrorKind::invalid, "rank_pattern", "did you mean q_proj",
                     [&] { planned("rank_pattern", "q_porj=4"); });
  test::expect_error(ErrorKind::invalid, "alpha_pattern", "\"lm_head\"",
                     [&] { planned("alpha_pattern", "lm_head=4"); });
  test::expect_error(ErrorKind::invalid, "rank_pattern", "whole number",
                     [&] { planned("rank_pattern", "q_proj=1e300"); });
}

TEST_F(ReadAdapter, NothingIsAllocatedBeforeTheTensorsFit) {
  const int64_t before = peak_resident_bytes();
  config["r"] = 1'000'000;
  test::expect_error(ErrorKind::invalid, "adapter_model.safetensors", "has shape", [&] { load(); });
  config["r"] = 4;
  config["rank_pattern"] = {{"q_proj", 1e300}};
  test::expect_error(ErrorKind::invalid, "rank_pattern", "whole number", [&] { load(); });
  make(test::tiny_llama_config(), "prompt_tuning", {{"num_virtual_tokens", 3}});
  config["num_virtual_tokens"] = 1'000'000;
  test::expect_error(ErrorKind::invalid, "adapter_model.safetensors", "has shape", [&] { load(); });
  EXPECT_LT(peak_resident_bytes() - before, 100'000'000);
}

TEST_F(ReadAdapter, AHeadWithoutValuesNamesNoClasses) {
  config["task_type"] = "SEQ_CLS";
  tensors.push_back({{"base_model.model.classifier.weight", DType::f32, {10'000'000'000, 0}, {}}, {}});
  EXPECT_THROW(load(), Error);
  test::expect_error(ErrorKind::corrupt, "adapter_model.safetensors", "classifier.weight",
                     [&] { read_adapter_labels(path()); });
}

TEST_F(ReadAdapter, AnotherBaseIsNamed) {
  nlohmann::json larger = test::tiny_llama_config();
  larger["hidden_size"] = 64;
  test::write_tiny_model(folder.path() / "larger", larger);
  checkpoint = Checkpoint::open(folder.path() / "larger");
  try {
    load();
    ADD_FAILURE() << "loaded";
  } catch (const Error& error) {
    EXPECT_NE(error.hint().find("\"org/base\""), std::string::npos) << error.hint();
  }
}

}  // namespace
}  // namespace lowrank
