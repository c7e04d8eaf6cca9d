// A GGUF LoRA is read back, and kept only if it computes what the adapter does.
#include "session/adapters/export_lora.h"

#include <fstream>

#include <gtest/gtest.h>

#include "base/error.h"
#include "peft/files/adapter_file.h"
#include "session/session.h"
#include "support/adapters.h"
#include "support/expect_error.h"
#include "support/places.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

TEST(ExportedLoras, AreCompared) {
  const test::TemporaryFolder folder;
  const std::string model = test::fixture("tiny_llama/linear").string();
  const std::string adapter = (folder.path() / "adapter").string(),
                    output = (folder.path() / "lora.gguf").string();
  const auto base = Checkpoint::open(model);
  save_adapter(adapter, test::random_adapter(*base, {{"rank", 4}, {"alpha", 6}}), model);
  const ExportedLora exported = export_gguf_lora(model, adapter, output, true);
  EXPECT_LT(exported.difference->largest, 1e-4);
  EXPECT_GT(exported.effect->distance, 0.01);
  EXPECT_TRUE(std::filesystem::exists(output));
  EXPECT_FALSE(export_gguf_lora(model, adapter, output + "2", false).difference);
}

TEST(ExportedLoras, TwoAdaptersDifferAsTheyDo) {
  const auto base = Checkpoint::open(test::fixture("tiny_llama/linear"));
  SessionOptions options;
  options.model = base->path().string();
  options.dtype = "f32";
  const Adapter first = test::random_adapter(*base, {{"rank", 4}}),
                second = test::random_adapter(*base, {{"rank", 2}});
  const auto model = load_model(base, options, &first.plan, false);
  EXPECT_GT(compare_adapters(*model, first, &second).distance, 0.01);
  EXPECT_EQ(compare_adapters(*model, first, &first).largest, 0);
}

TEST(ExportedLoras, ThatComputeSomethingElseAreRemoved) {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("lora.gguf", "x").string();
  keep_if_same(path, {1e-4, 1e-5, 1}, {1, 0.1, 1});
  EXPECT_TRUE(std::filesystem::exists(path));
  test::expect_error(ErrorKind::invalid, path,
                     "by 0.5, root mean square 0.2, where the adapter changes the base's by 0.1", [&] {
                       keep_if_same(path, {0.5, 0.2, 1}, {1, 0.1, 1});
                     });
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace lowrank
