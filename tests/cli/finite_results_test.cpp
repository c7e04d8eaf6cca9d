// A broken model's output is an error, not a result.
#include <cmath>

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"
#include "support/tiny_encoder.h"

namespace lowrank {
namespace {

class FiniteResults : public test::ProgramTest {
 protected:
  std::string model() const { return (folder.path() / "model").string(); }
  void make_llama() const {
    std::filesystem::copy(test::fixture("tiny_llama/linear"), model(),
                          std::filesystem::copy_options::recursive);
  }
  void make_encoder() const { test::write_tiny_encoder(model()); }
};

constexpr const char* two_rows = "{\"input_ids\":[1,2,3,4,5]}\n\n{\"input_ids\":[9,8,7]}\n";

TEST_F(FiniteResults, AnEmbeddingThatIsNoNumberIsAnError) {
  make_encoder();
  test::overwrite_values(model(), "bert.embeddings.LayerNorm.weight", std::nanf(""));
  refused("embed --model " + model() + " --text good --output " + out().string(), "text 1: value");
}

TEST_F(FiniteResults, ALossWithoutPerplexityIsAnError) {
  test::write_tiny_model(model(), test::tiny_llama_config());
  const auto data = write("rows.jsonl", two_rows);
  test::overwrite_values(model(), "model.norm.weight", 1e5F, 32);
  refused("evaluate --dtype f32 --json --model " + model() + " --data " + data.string(),
          "has no finite perplexity");
  test::overwrite_values(model(), "model.norm.weight", std::nanf(""));
  refused("evaluate --dtype f32 --json --model " + model() + " --data " + data.string(),
          "the loss of the row at line 1 is");
}

TEST_F(FiniteResults, MergingChecksTheWrittenModelAndTellsLosses) {
  test::write_tiny_model(model(), test::tiny_llama_config());
  const auto data = write("rows.jsonl", two_rows);
  const std::string adapter = (folder.path() / "adapter").string();
  succeeds("train --model " + model() + " --data " + data.string() + " --output " + adapter +
           " --steps 4 --batch-size 2 --dtype f32 --lr 0.01");
  const std::string merge = "merge --model " + model() + " --adapter " + adapter + " --json --output ";
  const auto figures = nlohmann::json::parse(succeeds(merge + (folder.path() / "a").string()).out);
  EXPECT_NEAR(figures["update_kept"], 1, 1e-6);
  EXPECT_NEAR(figures["probe"]["merged_loss"], figures["probe"]["adapter_loss"].get<double>(), 1e-4);
  const auto given = nlohmann::json::parse(
      succeeds(merge + (folder.path() / "b").string() + " --probe-data " + data.string()).out);
  EXPECT_NEAR(given["probe"]["merged_loss"], given["probe"]["adapter_loss"].get<double>(), 1e-4);
  EXPECT_GT(given["probe"]["base_loss"].get<double>(), given["probe"]["adapter_loss"].get<double>() + 1e-3);
  refused(merge + out().string() + " --probe-data nothing.jsonl", "nothing.jsonl");
}

}  // namespace
}  // namespace lowrank
