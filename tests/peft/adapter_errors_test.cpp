// Adapter folders that must be refused in one sentence: nothing is ignored, and all problems are listed at
// once.
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "formats/safetensors.h"
#include "peft/core/registry.h"
#include "peft/files/adapter_file.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

class AdapterErrors : public testing::Test {
 protected:
  void SetUp() override {
    test::write_tiny_model(folder.path() / "base", test::tiny_llama_config());
    checkpoint = Checkpoint::open(folder.path() / "base");
    Adapter adapter = make_adapter(method_named("lora"), method_named("lora").make(), *checkpoint);
    adapter.method->initialise(*checkpoint, 1);
    save_adapter(adapter_folder(), adapter, "base");
    config = read_json_file(adapter_folder() / "adapter_config.json", 1 << 20);
    const SafetensorsFile file = SafetensorsFile::open(adapter_folder() / "adapter_model.safetensors");
    for (const StoredTensor& tensor : file.tensors()) {
      tensors.push_back(tensor);
      bytes.emplace_back(tensor.bytes.begin(), tensor.bytes.end());
    }
  }

  std::filesystem::path adapter_folder() const { return folder.path() / "adapter"; }

  /// The message with which the folder, rewritten from `config` and `tensors`, is refused.
  std::string refusal() {
    for (size_t i = 0; i < tensors.size(); ++i) tensors[i].bytes = bytes[i];
    write_safetensors(adapter_folder() / "adapter_model.safetensors", tensors);
    return refusal_of_config(config.dump());
  }

  std::string refusal_of_config(const std::string& text) {
    write_file_atomically(adapter_folder() / "adapter_config.json", text);
    try {
      load_adapter(adapter_folder(), *checkpoint);
    } catch (const Error& error) {
      std::string message = error.what();
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      EXPECT_LT(message.size(), 3000) << message;
      return message;
    }
    ADD_FAILURE() << "loaded";
    return {};
  }

  test::TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  nlohmann::json config;
  std::vector<StoredTensor> tensors;
  std::vector<std::vector<std::byte>> bytes;
};

TEST_F(AdapterErrors, RankZeroAndAlphaZeroOrNegative) {
  config["r"] = 0;
  EXPECT_NE(refusal().find("rank"), std::string::npos);
  config["r"] = 8;
  for (const double alpha : {0.0, -1.0}) {
    config["lora_alpha"] = alpha;
    EXPECT_NE(refusal().find("alpha"), std::string::npos);
  }
}

TEST_F(AdapterErrors, RankOfTheConfigurationDiffersFromTheTensors) {
  config["r"] = 4;
  const std::string message = refusal();
  EXPECT_NE(message.find("has shape [8, 32] where [4, 32] is expected"), std::string::npos) << message;
}

TEST_F(AdapterErrors, FactorsSwapped) {
  std::swap(tensors[0].name, tensors[1].name);
  EXPECT_NE(refusal().find("has shape"), std::string::npos);
}

TEST_F(AdapterErrors, MissingAndUnexpectedTensorsAtOnceWithTheNearestName) {
  const std::string name = tensors[0].name;
  tensors[0].name.replace(name.find("lora_"), 5, "lorra_");
  const std::string message = refusal();
  EXPECT_NE(message.find("missing " + name), std::string::npos) << message;
  EXPECT_NE(message.find("unexpected " + tensors[0].name), std::string::npos) << message;
  EXPECT_NE(message.find("nearest"), std::string::npos) << message;
}

TEST_F(AdapterErrors, TenThousandExtraTensorsAreCountedNotListed) {
  const float zero = 0;
  for (int i = 0; i < 10000; ++i) {
    tensors.push_back({"extra." + std::to_string(i), DType::f32, {1}, {}});
    const auto value = std::as_bytes(std::span(&zero, 1));
    bytes.emplace_back(value.begin(), value.end());
  }
  EXPECT_NE(refusal().find("more"), std::string::npos);
}

TEST_F(AdapterErrors, ValuesThatAreNotFinite) {
  const float broken = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes[2].data(), &broken, sizeof broken);
  const std::string message = refusal();
  EXPECT_NE(message.find("not finite"), std::string::npos) << message;
  EXPECT_NE(message.find(tensors[2].name), std::string::npos) << message;
}

TEST_F(AdapterErrors, UnknownTypeAndFieldsThatChangeTheArithmetic) {
  config["peft_type"] = "NO_SUCH";
  EXPECT_NE(refusal().find("NO_SUCH"), std::string::npos);
  config["peft_type"] = "LORA";
  config["use_qalora"] = true;
  config["velora_config"] = {{"rank", 1}};
  const std::string message = refusal();
  EXPECT_NE(message.find("use_qalora"), std::string::npos) << message;
  EXPECT_NE(message.find("velora_config"), std::string::npos) << message;
}

TEST_F(AdapterErrors, RegularExpressionOfCatastrophicBacktracking) {
  config["target_modules"] = "(([a-z_.0-9]+)+)+[A-Z]";
  EXPECT_NE(refusal().find("too long"), std::string::npos);
}

TEST_F(AdapterErrors, NamesThatMatchNothingNameTheNearest) {
  config["target_modules"] = {"q_prj"};
  const std::string message = refusal();
  EXPECT_NE(message.find("q_proj"), std::string::npos) << message;
}

TEST_F(AdapterErrors, ConfigurationsThatAreNoStrictJson) {
  const std::string good = config.dump();
  refusal_of_config("\xEF\xBB\xBF" + good);
  refusal_of_config("// comment\n" + good);
  refusal_of_config("{\"peft_type\":\"LORA\",\"r\":1e400}");
  refusal_of_config("{\"peft_type\":\"LORA\",\"r\":8,\"r\":8}");
  refusal_of_config("[]");
  refusal_of_config("");
}

TEST_F(AdapterErrors, AnotherBaseModel) {
  nlohmann::json larger = test::tiny_llama_config();
  larger["hidden_size"] = 64;
  test::write_tiny_model(folder.path() / "larger", larger);
  checkpoint = Checkpoint::open(folder.path() / "larger");
  EXPECT_NE(refusal().find("expected"), std::string::npos);
}

TEST_F(AdapterErrors, PickledAdaptersAreNeverRead) {
  std::filesystem::rename(adapter_folder() / "adapter_model.safetensors",
                          adapter_folder() / "adapter_model.bin");
  EXPECT_NE(refusal_of_config(config.dump()).find("pickled"), std::string::npos);
}

}  // namespace
}  // namespace lowrank
