// Merging into a folder: no value that is not finite is written, whatever type it is written in.
#include <cmath>

#include <gtest/gtest.h>

#include "formats/safetensors.h"
#include "formats/safetensors_writer.h"
#include "peft/merge/merge.h"
#include "support/adapters.h"
#include "support/expect_error.h"

namespace lowrank {
namespace {

class MergeFolder : public testing::Test {
 protected:
  void SetUp() override { test::write_tiny_model(model(), test::tiny_llama_config()); }

  std::filesystem::path model() const { return folder_.path() / "model"; }
  std::filesystem::path output() const { return folder_.path() / "merged"; }

  /// Merges an adapter on q and v whose values are `scale` times those of `random_adapter`.
  MergeResult merge(std::optional<DType> type, double scale = 1) const {
    const auto base = Checkpoint::open(model());
    const Adapter adapter = test::random_adapter(*base, {{"target_modules", "q_proj,v_proj"}, {"rank", 4}});
    const at::NoGradGuard no_grad;
    adapter.parameters->values().mul_(scale);
    return merge_to_folder(*base, adapter, type, output());
  }

  void refused(const std::string& tensor, const std::string& part, std::optional<DType> type,
               double scale = 1) const {
    test::expect_error(ErrorKind::invalid, tensor, part, [&] { merge(type, scale); });
    size_t left = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_.path())) ++left;
    EXPECT_EQ(left, 1U) << "something was left behind";
  }

  test::TemporaryFolder folder_;
};

TEST_F(MergeFolder, AChangedTensorTooLargeForItsTypeIsRefused) {
  refused("q_proj.weight", "too large for F16", DType::f16, 1e4);
  EXPECT_NO_THROW(merge(DType::bf16, 1e4));
}

TEST_F(MergeFolder, AnUnchangedTensorTooLargeForItsTypeIsRefused) {
  test::overwrite_values(model(), "model.layers.1.mlp.up_proj.weight", 3.4e38F);
  refused("model.layers.1.mlp.up_proj.weight", "too large for BF16", DType::bf16);
  refused("model.layers.1.mlp.up_proj.weight", "too large for F16", DType::f16);
}

TEST_F(MergeFolder, ABaseThatIsNotFiniteIsRefusedByName) {
  test::overwrite_values(model(), "model.norm.weight", std::nanf(""));
  refused("model.norm.weight", "nan", std::nullopt);
  refused("model.norm.weight", "not finite", DType::bf16);
}

TEST_F(MergeFolder, AnUpdateThatItsBaseDoesNotHaveIsCountedAsKept) {
  const MergeResult exact = merge(std::nullopt);
  EXPECT_EQ(exact.types, (std::map<std::string, int64_t>{{"F32", 4}}));
  EXPECT_NEAR(exact.kept.share(), 1, 1e-6);
}

/// All names are those of the folder, and the other parts' bytes are unchanged.
TEST_F(MergeFolder, OtherPartsOfAMultimodalModelStayAsTheyWere) {
  const std::filesystem::path text = folder_.path() / "text";
  test::write_tiny_model(text,
                         {{"model_type", "mistral3"}, {"text_config", test::tiny_config("ministral3")}});
  std::filesystem::copy_file(text / "config.json", model() / "config.json",
                             std::filesystem::copy_options::overwrite_existing);
  const SafetensorsFile stored = SafetensorsFile::open(text / "model.safetensors");
  std::vector<StoredTensor> tensors = stored.tensors();
  std::vector<std::string> names;
  constexpr std::string_view inner = "model.language_model.";
  for (const StoredTensor& tensor : tensors) {
    const std::string name(tensor.name);
    names.push_back(name.starts_with(inner) ? "language_model.model." + name.substr(inner.size())
                                            : "language_model." + name);
  }
  const std::vector<float> pixels{1, 2};
  names.emplace_back("vision_tower.patch_conv.weight");
  tensors.push_back({names.back(), DType::f32, {2}, std::as_bytes(std::span(pixels))});
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i].name = names[i];
  write_safetensors(model() / "model.safetensors", tensors);
  merge(std::nullopt);
  const SafetensorsFile merged = SafetensorsFile::open(output() / "model.safetensors");
  EXPECT_EQ(merged.tensors().size(), names.size());
  for (const std::string& name : names) EXPECT_NE(merged.find(name), nullptr) << name;
  EXPECT_TRUE(std::ranges::equal(merged.find("vision_tower.patch_conv.weight")->bytes, tensors.back().bytes));
  EXPECT_NO_THROW(Checkpoint::open(output()));
}

}  // namespace
}  // namespace lowrank
