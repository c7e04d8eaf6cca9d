// From paths to results: adapters as LoRA, LoRA from two models, merges that are undone.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "peft/merge/merge.h"
#include "session/adapters/convert_adapter.h"
#include "session/adapters/extract_adapter.h"
#include "session/adapters/undo_merge.h"
#include "support/adapters.h"
#include "support/expect_error.h"

namespace lowrank {
namespace {

class AdapterConversion : public testing::Test {
 protected:
  void SetUp() override {
    test::write_tiny_model(path("base"), test::tiny_llama_config());
    base_ = Checkpoint::open(path("base"));
  }

  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  /// Writes an adapter of a method with random values to `adapter`.
  void write_random(std::string_view method, const nlohmann::json& options) const {
    const Adapter adapter = test::random_adapter(*base_, options, method);
    save_adapter(path("adapter"), adapter, path("base"));
  }

  ConvertedAdapter convert(LowRankOutput output) const {
    output.path = path(output.path);
    return convert_adapter({path("base"), path("adapter"), output});
  }

  test::TemporaryFolder folder_;
  std::shared_ptr<const Checkpoint> base_;
};

TEST_F(AdapterConversion, ExactFactorsGiveTheSameLogitsInBothForms) {
  write_random("miss", {{"rank", 4}});
  for (const char* name : {"lora", "lora.gguf"}) {
    const ConvertedAdapter converted = convert({.path = name});
    EXPECT_EQ(converted.method, "miss");
    EXPECT_TRUE(std::ranges::all_of(converted.modules, &FittedModule::exact));
    ASSERT_TRUE(converted.difference.has_value());
    EXPECT_LT(converted.difference->largest, 1e-5);
    EXPECT_GT(converted.bytes, 0);
    EXPECT_EQ(load_adapter(path(name), *base_).info->name, "lora");
  }
}

TEST_F(AdapterConversion, TheChatTemplateGoesAlongAndCheckpointsDoNotCount) {
  write_random("miss", {{"rank", 4}});
  const std::filesystem::path adapter = path("adapter");
  std::filesystem::create_directory(adapter / "checkpoint-1");
  std::ofstream(adapter / "checkpoint-1" / "adapter_model.safetensors") << std::string(5000, ' ');
  std::ofstream(adapter / "chat_template.jinja") << "{{ messages }}";
  const ConvertedAdapter converted = convert({.path = "lora", .check = false});
  EXPECT_EQ(converted.bytes_before,
            static_cast<int64_t>(std::filesystem::file_size(adapter / "adapter_model.safetensors")));
  EXPECT_EQ(std::filesystem::file_size(folder_.path() / "lora" / "chat_template.jinja"), 14U);
}

TEST_F(AdapterConversion, ALowerRankIsNearerTheMoreItKeeps) {
  write_random("lokr", {{"rank", 2}});
  const double distance = convert({.path = "one", .rank = 1}).difference->distance;
  const double nearer = convert({.path = "most", .energy = 0.999}).difference->distance;
  EXPECT_LT(nearer, distance / 5);
}

TEST_F(AdapterConversion, OutputsAreCheckedFirst) {
  write_random("lora", {{"rank", 2}});
  test::expect_error(ErrorKind::invalid, "lora", "ends in .gguf",
                     [&] { convert({.path = "lora", .format = "gguf"}); });
  test::expect_error(ErrorKind::invalid, "lora.gguf", "folder",
                     [&] { convert({.path = "lora.gguf", .format = "peft"}); });
  test::expect_error(ErrorKind::invalid, "adapter", "exists already", [&] { convert({.path = "adapter"}); });
}

TEST_F(AdapterConversion, AnExtractedLoraComputesTheTunedModel) {
  write_random("lora", {{"rank", 3}, {"target_modules", "all-linear"}});
  merge_to_folder(*base_, load_adapter(path("adapter"), *base_), std::nullopt, path("tuned"));
  ExtractOptions options{.model = path("base"), .tuned = path("tuned")};
  options.output = {.path = path("lora"), .rank = 3};
  const ExtractedAdapter extracted = extract_adapter(options);
  EXPECT_TRUE(extracted.left.empty());
  EXPECT_LT(lost_share(extracted.modules), 1e-8);
  EXPECT_LT(extracted.difference->largest, 1e-4);
  EXPECT_GT(extracted.effect->distance, 1e-2);

  options.output = {.path = path("other")};
  test::expect_error(ErrorKind::invalid, "extraction", "needs a `rank`", [&] { extract_adapter(options); });
}

TEST_F(AdapterConversion, AnUndoneMergeIsComparedWithItsOriginal) {
  write_random("lora", {{"rank", 3}});
  merge_to_folder(*base_, load_adapter(path("adapter"), *base_), std::nullopt, path("merged"));
  MergeOptions options;
  options.files.model = path("merged");
  options.files.adapter = path("adapter");
  options.files.merged = path("left");
  const UndoneMerge undone = undo_merge(options, path("base"));
  ASSERT_TRUE(undone.original.has_value());
  EXPECT_LE(undone.original->largest, 2 * undone.rounding.largest);
  EXPECT_LT(undone.original->different, undone.rounding.values);
  EXPECT_LT(undone.difference->largest, 1e-4);

  const ValueComparison same = compare_values(*base_, *base_);
  EXPECT_EQ(same.different, 0);
  EXPECT_GT(same.values, 0);
}

}  // namespace
}  // namespace lowrank
