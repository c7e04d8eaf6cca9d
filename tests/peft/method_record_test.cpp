// A method whose files are those of plain LoRA resumes as itself, with its own options.
#include <gtest/gtest.h>

#include "base/atomic_file.h"
#include "base/json.h"
#include "support/adapters.h"
#include "support/expect_error.h"

namespace lowrank {
namespace {

class MethodRecord : public testing::Test {
 protected:
  void SetUp() override {
    test::write_tiny_model(base_folder_.path(), test::tiny_llama_config());
    base_ = Checkpoint::open(base_folder_.path());
  }
  Adapter saved_and_read(const std::string& method, const nlohmann::json& options) {
    save_adapter(folder(), test::random_adapter(*base_, options, method), "base");
    return load_adapter(folder(), *base_);
  }
  std::filesystem::path folder() const { return folder_.path() / "adapter"; }

  test::TemporaryFolder base_folder_, folder_;
  std::shared_ptr<const Checkpoint> base_;
};

TEST_F(MethodRecord, VariantsOfLoraGoOnAsThemselves) {
  const Adapter plus = saved_and_read("lora_plus", {{"rank", 3}, {"lr_ratio", 5}});
  EXPECT_EQ(plus.info->name, "lora_plus");
  const auto scale_of = [&](std::string_view factor) {
    const auto found = std::ranges::find_if(plus.plan.parameters, [&](const ParameterSpec& spec) {
      return spec.name.find(factor) != std::string::npos;
    });
    return found->learning_rate_scale;
  };
  EXPECT_EQ(scale_of("lora_B"), 5);
  EXPECT_EQ(scale_of("lora_A"), 1);

  const Adapter frozen = saved_and_read("lora_fa", {{"rank", 3}});
  EXPECT_EQ(frozen.info->name, "lora_fa");
  EXPECT_LT(frozen.parameters->count(), plus.parameters->count());
  EXPECT_EQ(saved_and_read("rslora", {{"rank", 3}}).info->name, "rslora");
}

TEST_F(MethodRecord, AnAdapterThatTakesItsPlaceHasNoneOfItsRecord) {
  saved_and_read("lora_plus", {{"rank", 3}});
  EXPECT_TRUE(std::filesystem::exists(folder() / "lowrank.json"));
  EXPECT_EQ(saved_and_read("lora", {{"rank", 3}}).info->name, "lora");
  EXPECT_FALSE(std::filesystem::exists(folder() / "lowrank.json"));
}

TEST_F(MethodRecord, RecordsThatDoNotFitAreRefused) {
  saved_and_read("lora_plus", {{"rank", 3}});
  const auto refused = [&](const char* record, ErrorKind kind, const char* part) {
    write_file_atomically(folder() / "lowrank.json", record);
    test::expect_error(kind, "lowrank.json", part, [&] { load_adapter(folder(), *base_); });
  };
  refused("[]", ErrorKind::corrupt, "without this file the adapter is read as lora");
  refused(R"({"method": "vera", "options": {}})", ErrorKind::invalid, "has files of its own");
  refused(R"({"method": "lora_plus", "options": {"rank": 4}})", ErrorKind::invalid, "rank");
}

}  // namespace
}  // namespace lowrank
