// Folders of AdapterHub that must be refused in one sentence, and what its files cannot become.
#include <fstream>

#include "base/error.h"
#include "base/json.h"
#include "peft/bottleneck/bottleneck_config.h"
#include "peft/files/gguf_lora.h"
#include "peft/merge/merge_plan.h"
#include "support/bottleneck_formula.h"

namespace lowrank {
namespace {

class AdapterHubErrors : public testing::Test {
 protected:
  void SetUp() override {
    test::write_tiny_model(folder.path() / "base", test::tiny_llama_config());
    checkpoint = Checkpoint::open(folder.path() / "base");
    adapter = test::random_adapter(*checkpoint, nlohmann::json::object(), "pfeiffer");
    save_adapter(folder.path() / "adapter", adapter, "base");
    config = read_json_file(folder.path() / "adapter/adapter_config.json", 1 << 20);
  }

  std::string refusal() {
    write_file_atomically(folder.path() / "adapter/adapter_config.json", config.dump());
    try {
      load_adapter(folder.path() / "adapter", *checkpoint);
    } catch (const Error& error) {
      hint = error.hint();
      return error.what();
    }
    return "none";
  }

  test::TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  Adapter adapter;
  nlohmann::json config;
  std::string hint;
};

TEST_F(AdapterHubErrors, NamesEachFieldThatChangesTheArithmetic) {
  EXPECT_EQ(refusal(), "none");
  const nlohmann::json good = config;
  for (const auto& [field, value] :
       std::map<std::string, nlohmann::json>{{"ln_after", true},
                                             {"use_gating", true},
                                             {"inv_adapter", "nice"},
                                             {"cross_adapter", true},
                                             {"stochastic_depth", 0.1},
                                             {"reduction_factor", {{"default", 16}}},
                                             {"non_linearity", "unheard"},
                                             {"residual_before_ln", "post_add"},
                                             {"original_ln_after", false},
                                             {"scaling", "unheard"}}) {
    config = good;
    config["config"][field] = value;
    const std::string found = refusal();
    EXPECT_NE(found.find(field == "scaling" ? "scaling_type" : field), std::string::npos) << found;
  }
  config = good;
  config["config"]["architecture"] = "prefix_tuning";
  EXPECT_NE(refusal().find("configuration of AdapterHub"), std::string::npos);
  config = good;
  config["name"] = "other";
  EXPECT_NE(refusal().find("missing model.layers.0.output_adapters.adapters.other."), std::string::npos);
}

TEST_F(AdapterHubErrors, RefusesPicklesWithTheCommandThatConvertsThem) {
  std::filesystem::remove(folder.path() / "adapter/adapter.safetensors");
  std::ofstream(folder.path() / "adapter/pytorch_adapter.bin") << "pickle";
  EXPECT_NE(refusal().find("pickled adapters are never read"), std::string::npos);
  EXPECT_NE(hint.find("python -c"), std::string::npos);
  EXPECT_NE(hint.find("pytorch_adapter.bin', weights_only=True"), std::string::npos);
}

TEST_F(AdapterHubErrors, SaysWhyItIsNeitherMergedNorAGgufLora) {
  const auto message = [](const std::function<void()>& act) -> std::string {
    try {
      act();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unsupported);
      return error.what();
    }
    return "none";
  };
  EXPECT_NE(message([&] { merge_plan(*checkpoint, *adapter.method); }).find("non-linearity"),
            std::string::npos);
  EXPECT_NE(message([&] { check_gguf_lora(checkpoint->spec(), *adapter.method, "x"); }).find("non-linearity"),
            std::string::npos);
}

TEST_F(AdapterHubErrors, RefusesWhatLeavesNoAdapter) {
  for (const nlohmann::json& options : std::vector<nlohmann::json>{{{"leave_out", {0, 1}}},
                                                                   {{"leave_out", {5}}},
                                                                   {{"adapter_drop", 2}},
                                                                   {{"adapter_name", "a.b"}},
                                                                   {{"output_adapter", false}}}) {
    EXPECT_THROW(test::random_adapter(*checkpoint, options, "pfeiffer"), Error) << options;
  }
}

/// k by Python's floor division, even if the factor that is written was computed from k.
TEST_F(AdapterHubErrors, WritesAReductionFactorThatGivesTheSize) {
  ModelSpec spec = checkpoint->spec();
  for (const int64_t hidden : {32, 384, 576, 768, 1600}) {
    spec.hidden_size = hidden;
    for (int64_t k = 1; k <= hidden; ++k) {
      BottleneckConfig config;
      config.bottleneck_size = k;
      BottleneckConfig again;
      again.reduction_factor = config.to_json(spec)["reduction_factor"].get<double>();
      ASSERT_EQ(again.size(hidden), k) << hidden;
    }
  }
}

}  // namespace
}  // namespace lowrank
