// `lowrank inspect` on a model of every family in the fixtures.
#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"

namespace lowrank {
namespace {

class Inspect : public test::ProgramTest {};

TEST_F(Inspect, TellsFamilyTargetsAndWhatIsLeftOut) {
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::fixture("families"))) {
    const test::Outcome outcome = succeeds("inspect --json " + entry.path().string());
    const nlohmann::json model = nlohmann::json::parse(outcome.out)["model"];
    EXPECT_FALSE(model["family"].get<std::string>().empty());
    EXPECT_FALSE(model["adapted"].empty()) << entry.path();
    EXPECT_GT(model["trained_parameters"].get<int64_t>(), 0) << entry.path();
    for (const nlohmann::json& left : model["left_out"]) EXPECT_FALSE(left["why"].get<std::string>().empty());
    ++seen;
  }
  EXPECT_GE(seen, 15);
}

TEST_F(Inspect, SaysItInLines) {
  const std::string out = succeeds("inspect " + test::fixture("families/mixtral").string()).out;
  for (const char* part : {"family  ", "  mixtral\n", "adapted by default (lora)", "self_attn.q_proj (",
                           "left out", "routers: ", "experts: "})
    EXPECT_NE(out.find(part), std::string::npos) << out << "\nexpected: " << part;
}

TEST_F(Inspect, OfGgufFilesTellsModelsFromAdapters) {
  const test::Outcome model =
      succeeds("inspect --json " + test::fixture("tiny_decoders/qwen3.gguf").string());
  EXPECT_EQ(nlohmann::json::parse(model.out)["model"]["family"], "llama");
  std::string bytes = test::content_of(test::fixture("tiny_decoders/qwen3.gguf"));
  for (size_t at = bytes.find("qwen3"); at != std::string::npos; at = bytes.find("qwen3", at))
    bytes.replace(at, 5, "other");
  const auto unknown = write("unknown.gguf", bytes);
  const test::Outcome other = succeeds("inspect --json " + unknown.string());
  EXPECT_FALSE(nlohmann::json::parse(other.out).contains("model"));
  EXPECT_NE(other.err.find("'other' is not known"), std::string::npos) << other.err;
}

}  // namespace
}  // namespace lowrank
