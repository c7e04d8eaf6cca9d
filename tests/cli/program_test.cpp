// The program as a user runs it: it refuses with one sentence and a non-zero exit code, and then writes
// nothing.
#include "support/program.h"

#include <cstdlib>
#include <dlfcn.h>
#include <string>

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/places.h"

namespace lowrank {
namespace {

class Program : public test::ProgramTest {
 protected:
  std::string model() const { return test::fixture("tiny_llama/linear").string(); }
  std::string train(const std::filesystem::path& data, const std::string& more = "") const {
    return "train --model " + model() + " --data " + data.string() + " --output " + out().string() +
           " --steps 2 --batch-size 2 --dtype f32 " + more;
  }
};

constexpr const char* rows =
    "{\"input_ids\":[1,2,3,4,5]}\n{\"input_ids\":[9,8,7]}\n{\"input_ids\":[4,4,4,4]}\n";

TEST_F(Program, TrainsEvaluatesAndMergesATinyModel) {
  const auto data = write("rows.jsonl", rows);
  const test::Outcome trained = run(train(data, "--rank 2 --eval-split 0.34"));
  ASSERT_EQ(trained.code, 0) << trained.err;
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors", "README.md", "metrics.jsonl",
                           "trainer_state.json", "run.html", "loss.svg"}) {
    EXPECT_TRUE(std::filesystem::exists(out() / name)) << name;
  }
  const test::Outcome evaluated = run("evaluate --model " + model() + " --adapter " + out().string() +
                                      " --data " + data.string() + " --json");
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  EXPECT_EQ(nlohmann::json::parse(evaluated.out)["rows"].size(), 3);
  const std::string merged = (folder.path() / "merged").string();
  const test::Outcome merge =
      run("merge --model " + model() + " --adapter " + out().string() + " --output " + merged + " --json");
  ASSERT_EQ(merge.code, 0) << merge.err;
  EXPECT_LT(nlohmann::json::parse(merge.out)["largest_logit_difference"].get<double>(), 1e-4);
  EXPECT_EQ(run("inspect " + merged).code, 0);
}

TEST_F(Program, ADeviceThatIsNotThereIsRefused) {
  const auto data = write("rows.jsonl", rows);
  for (const char* wrong : {"tpu", "cuda:x", "cpu:1"})
    refused(train(data, std::string("--device ") + wrong), "--device must be auto, cpu, cuda or cuda:N");
  if (dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)) GTEST_SKIP() << "this machine has an NVIDIA driver";
  refused(train(data, "--device cuda"), "this machine has no NVIDIA driver");
}

TEST_F(Program, DryRunNeedsOnlyAConfiguration) {
  std::filesystem::create_directories(folder.path() / "bare");
  std::filesystem::copy_file(test::fixture("tiny_llama/linear/config.json"),
                             folder.path() / "bare/config.json");
  const test::Outcome outcome = run("train --dry-run --rank 2 --model " + (folder.path() / "bare").string());
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  // Two layers, rank 2: q and o (32 to 32), k and v (32 to 16), gate and up (32 to 56), down (56 to 32).
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["trained_parameters"].get<int>(),
            2 * 2 * (2 * 64 + 2 * 48 + 3 * 88));
}

TEST_F(Program, VirtualTokensTakeTheirPlaceInTheContext) {
  const test::Outcome planned =
      succeeds("train --dry-run --model " + model() + " --method prompt_tuning --num-virtual-tokens 7");
  EXPECT_EQ(nlohmann::json::parse(planned.out)["context_rows"], 7);
  EXPECT_NE(planned.err.find("virtual tokens take 7 of the context's 256 positions"), std::string::npos);
  std::string ids = "1";
  for (int i = 1; i < 256; ++i) ids += ",2";
  const auto data = write("rows.jsonl", "{\"input_ids\":[" + ids + "]}\n");
  succeeds(train(data, "--method prompt_tuning --num-virtual-tokens 7"));
  // 249 tokens of the row are left, and the first is also a target.
  const std::string evaluation =
      "evaluate --json --model " + model() + " --data " + data.string() + " --adapter " + out().string();
  EXPECT_EQ(nlohmann::json::parse(succeeds(evaluation).out)["target_tokens"], 249);
  std::filesystem::remove_all(out());
  refused(train(data, "--method pre_layer --num-prefix-tokens 300"), "fill the model's context of 256");
  refused(train(data, "--method prefix_tuning --export gguf-lora"),
          "a GGUF LoRA cannot hold 20 keys and values");
}

TEST_F(Program, ExportsAnAdapterAndReadsItBack) {
  const auto data = write("rows.jsonl", rows);
  const test::Outcome trained =
      run(train(data, "--rank 2 --scaling 'alpha/sqrt(r)' --lr 0.1 --export gguf-lora"));
  ASSERT_EQ(trained.code, 0) << trained.err;
  const std::string file = (folder.path() / "lora.gguf").string();
  const std::string write_it =
      "export --model " + model() + " --adapter " + out().string() + " --output " + file + " --json";
  const test::Outcome exported = run(write_it);
  ASSERT_EQ(exported.code, 0) << exported.err;
  EXPECT_EQ(nlohmann::json::parse(exported.out)["modules"], 14);
  EXPECT_LT(nlohmann::json::parse(exported.out)["largest_logit_difference"].get<double>(), 1e-4);
  EXPECT_GT(nlohmann::json::parse(exported.out)["largest_logit_change"].get<double>(), 1e-3);
  EXPECT_NE(run(write_it).err.find("exists already"), std::string::npos);
  const auto loss = [&](const std::string& adapter) {
    const test::Outcome evaluated =
        run("evaluate --dtype f32 --json --model " + model() + " --data " + data.string() + adapter);
    EXPECT_EQ(evaluated.code, 0) << evaluated.err;
    return nlohmann::json::parse(evaluated.out)["loss"].get<double>();
  };
  const double expected = loss(" --adapter " + out().string());
  EXPECT_NEAR(loss(" --adapter " + file), expected, 1e-6);
  EXPECT_NEAR(loss(" --adapter " + (out() / "adapter.gguf").string()), expected, 1e-6);
  EXPECT_GT(std::abs(loss("") - expected), 1e-3);
  const std::string peft = (folder.path() / "peft").string();
  ASSERT_EQ(run("export --format peft --model " + model() + " --adapter " + file + " --output " + peft).code,
            0);
  EXPECT_NEAR(loss(" --adapter " + peft), expected, 1e-6);
}

TEST_F(Program, RefusesAtTheStartWhatTheWantedExportCannotHold) {
  const auto data = write("rows.jsonl", rows);
  const char* bad = "--export gguf-lora --modules-to-save lm_head --lora-bias";
  refused(train(data, bad),
          "biases beside B (lora_bias); whole parts of the model (modules_to_save lm_head)");
  refused("train --dry-run --model " + model() + " " + bad, "a GGUF LoRA cannot hold");
  refused(train(data, "--export gguf-lor"), "gguf-lora");
}

TEST_F(Program, WrongNamesAreReportedAtOnceWithTheNearest) {
  const auto data = write("rows.jsonl", rows);
  refused("trian", "did you mean train?");
  refused(train(data, "--rnk 4 --lr abc"), "did you mean --rank?");
  refused(train(data, "--rnk 4 --lr abc"), "lr");
  refused(train(data, "--method lore"), "did you mean lora?");
  refused(train(data, "--target-modules q_prj,v_proj"), "q_proj");
  refused(train(data, "--rank 0"), "rank");
  refused(train(data, "--grad-accum 0"), "--grad-accum must be");
  refused(train(data, "--lr -1"), "lr");
  refused("evaluate", "--model, --data");
  refused(train(data, "--config " + write("c.yaml", "rank: 4\nalhpa: 3\n").string()), "alpha");
}

TEST_F(Program, AWrongProcessorLevelIsOneError) {
  const char* before = std::getenv("LOWRANK_CPU");
  const std::string kept = before ? before : "";
  setenv("LOWRANK_CPU", "sse", 1);
  refused("methods", "LOWRANK_CPU must be avx2, avx512, avx512bf16 or native, not \"sse\"");
  setenv("LOWRANK_CPU", kept.c_str(), 1);
}

TEST_F(Program, ConfigurationFileOverridesAndFlagsWinInTurn) {
  const auto config = write("c.yaml", "rank: 4\nalpha: 3\nbatch_size: 5\n");
  const test::Outcome outcome =
      run("train --dry-run --model " + model() + " --config " + config.string() + " alpha=5 --rank 2");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json resolved = nlohmann::json::parse(outcome.out)["configuration"];
  EXPECT_EQ(resolved["rank"], 2);
  EXPECT_EQ(resolved["alpha"], 5);
  EXPECT_EQ(resolved["batch_size"], 5);
}

TEST_F(Program, BadDataIsRefusedWithFileAndLine) {
  refused(train(folder.path() / "missing.jsonl"), "missing.jsonl");
  std::filesystem::create_directory(folder.path() / "no_data");
  refused(train(folder.path() / "no_data"), "no data file in this folder");
  refused(train(write("empty.jsonl", "")), "empty.jsonl");
  refused(train(write("blank.jsonl", "\n \n")), "no rows");
  refused(train(write("cut.jsonl", "{\"input_ids\":[1,2]}\n{\"input_ids\":[1,")), "cut.jsonl:2");
  refused(train(write("mixed.jsonl", "{\"input_ids\":[1,2]}\n{\"text\":\"a\"}\n")), "mixed.jsonl:2");
  refused(train(write("range.jsonl", "{\"input_ids\":[1,96]}\n")), "outside the model's vocabulary");
  refused(train(write("none.jsonl", "{\"input_ids\":[1,2],\"labels\":[-100,-100]}\n")), "target");
  refused(train(write("long.jsonl", "{\"input_ids\":[1,2,3],\"labels\":[-100,-100,3]}\n"), "--max-length 2"),
          "target");
  refused(train(write("bytes.jsonl", "{\"text\":\"\xff\"}\n")), "UTF-8");
  refused(train(write("array.jsonl", "[1]\n")), "array.jsonl:1");
}

TEST_F(Program, BadModelsAreRefused) {
  const auto data = write("rows.jsonl", rows);
  const auto with_model = [&](const std::filesystem::path& path) {
    return "evaluate --data " + data.string() + " --model " + path.string();
  };
  refused(with_model(folder.path() / "nowhere"), "nowhere");
  refused(with_model(write("x.gguf", "GGUF")), "x.gguf");
  refused(with_model(write("y.gguf", "not a model at all, but long enough to be read")), "not a GGUF file");
  std::filesystem::create_directories(folder.path() / "other");
  write("other/config.json", "{\"model_type\":\"mamba\"}");
  refused("train --dry-run --model " + (folder.path() / "other").string(),
          "the model_type 'mamba' is not known; known are bert, gemma2, gemma3_text, ");
}

TEST_F(Program, ALossThatIsNotFiniteStopsTheRun) {
  const auto data = write("rows.jsonl", rows);
  const test::Outcome outcome = run("train --model " + model() + " --data " + data.string() + " --output " +
                                    out().string() + " --lr 1000 --steps 200 --batch-size 2 --dtype f32" +
                                    " --max-grad-norm 0 --schedule constant --rank 2");
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("--lr"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(out() / "adapter_model.safetensors"));
}

}  // namespace
}  // namespace lowrank
