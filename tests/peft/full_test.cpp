// Full fine-tuning: a tied head is the embedding's one matrix.
#include "peft/merge/merge.h"
#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(FullFineTuning, KeepsTheTieWhenItIsMerged) {
  test::TemporaryFolder folder;
  test::write_tiny_model(folder.path() / "base", test::tiny_gemma3_config());
  const auto checkpoint = Checkpoint::open(folder.path() / "base");
  const MethodInfo& info = method_named("full");
  Adapter adapter = make_adapter(info, info.make(), *checkpoint);
  EXPECT_EQ(adapter.parameters->count(), checkpoint->spec().parameters());
  EXPECT_EQ(file_tensors(adapter).size() + 1, checkpoint->spec().tensors.size());
  adapter.method->initialise(*checkpoint, 0);
  EXPECT_FALSE(merge_to_folder(*checkpoint, adapter, std::nullopt, folder.path() / "merged").untied);
}

}  // namespace
}  // namespace lowrank
