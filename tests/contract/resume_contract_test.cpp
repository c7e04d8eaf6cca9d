// What a stopped run promises for every method: resumed in new objects, it ends bit-identical to one that was
// not stopped, whatever else was asked for: accumulation, evaluation, dropout, rows grouped by prompt.
#include <csignal>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "peft/core/registry.h"
#include "peft/files/side_by_side.h"
#include "support/test_device.h"
#include "support/tiny_model.h"
#include "train/run.h"
#include "train/run_results.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

/// Options that make a method keep state of its own, or draw random numbers in each step.
nlohmann::json options_of(std::string_view method) {
  nlohmann::json options = nlohmann::json::object();
  if (method.find("adalora") != std::string_view::npos)
    options = {{"init_r", 4}, {"target_r", 2}, {"tinit", 1}, {"tfinal", 1}, {"delta_t", 1}};
  if (method.find("p_tuning") != std::string_view::npos)
    options.update(
        {{"encoder_reparameterization_type", "LSTM"}, {"encoder_dropout", 0.5}, {"encoder_hidden_size", 8}});
  return options;
}

struct ResumedRun {
  std::string family, method;
};

std::vector<ResumedRun> all_resumed_runs() {
  std::vector<ResumedRun> runs = {{"llama", "lora+prompt_tuning"}, {"llama", "adalora+p_tuning"}};
  for (const char* family : {"llama", "bert"}) {
    for (const MethodInfo* method : methods()) runs.push_back({family, std::string(method->name)});
  }
  return runs;
}

class ResumeContract : public testing::TestWithParam<ResumedRun> {
 protected:
  void SetUp() override {
    if (test::lacks_lstm(GetParam().method.find("p_tuning") == std::string::npos ? "" : "lstm"))
      GTEST_SKIP() << "libtorch's LSTM has no operation for extension devices";
    test::write_tiny_model(folder.path() / "base", GetParam().family == "bert"
                                                       ? test::tiny_encoder_config("bert")
                                                       : test::tiny_llama_config());
    checkpoint = Checkpoint::open(folder.path() / "base");
    rows = test::random_examples({7, 3, 12, 5, 4, 9, 6}, checkpoint->spec().vocabulary_size);
    if (checkpoint->spec().labels) {
      test::label(rows, *checkpoint->spec().labels);
    } else {
      // Some have a prompt, and some of the prompts are equal.
      for (size_t i = 0; i < rows.size(); ++i) {
        rows[i].tokens[1] = rows[i % 2].tokens[1];
        rows[i].tokens[0] = rows[i % 2].tokens[0];
        if (i < 5) rows[i].labels[0] = rows[i].labels[1] = no_target;
      }
    }
    options.steps = 8;
    options.batch_size = 2;
    options.grad_accum = 2;
    options.eval_every = 3;
    options.save_every = 2;
    options.lr = 1e-2;
    options.group_prompts = true;
    try {
      chosen();
      fresh();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::unsupported) throw;
      GTEST_SKIP() << error.what();
    }
  }

  ChosenMethod chosen() const {
    ChosenMethod chosen = choose_method(GetParam().method);
    nlohmann::json given = options_of(GetParam().method);
    const std::vector<Field> fields = chosen.method->fields();
    if (find_field(fields, "dropout")) given["dropout"] = 0.2;
    for (const OptionExample& example : chosen.info->examples) {
      if (example.name == small_example) apply(fields, nlohmann::json::parse(example.options), "test");
    }
    apply(fields, given, "test");
    return chosen;
  }

  Adapter fresh() const {
    ChosenMethod method = chosen();
    Adapter adapter = make_adapter(*method.info, std::move(method.method), *checkpoint);
    adapter.method->initialise(*checkpoint, 11);
    return test::on_test_device(std::move(adapter));
  }

  /// A run in its own objects to the end, or until a signal arrives right after a step.
  std::optional<RunResult> run(const fs::path& output, const fs::path& resume, int64_t stopped_after) const {
    const InterruptGuard guard;
    Adapter adapter = fresh();
    LoadOptions load;
    load.training = true;
    load.device = test::test_device();
    load.use = uses_of(adapter.plan);
    const auto model = checkpoint->family().load(checkpoint, load);
    RunCallbacks callbacks;
    callbacks.after_step = [&](const StepResult& step, int64_t) {
      if (step.step == stopped_after) std::raise(SIGTERM);
    };
    try {
      return run_training(*model, adapter, rows, rows, options, {output, "", resume}, callbacks);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::interrupted) throw;
      return std::nullopt;
    }
  }

  fs::path out(const char* name) const { return folder.path() / name; }

  static void expect_same_tensor(const at::Tensor& a, const at::Tensor& b, const std::string& what) {
    EXPECT_TRUE(at::equal(a, b)) << what;
  }

  void expect_same_states(const std::string& name) const {
    const TrainState a = read_state(out("whole") / name / state_name);
    const TrainState b = read_state(out("parts") / name / state_name);
    expect_same_tensor(a.values, b.values, name + " values");
    expect_same_tensor(a.m, b.m, name + " m");
    expect_same_tensor(a.v, b.v, name + " v");
    ASSERT_EQ(a.method.size(), b.method.size());
    for (size_t i = 0; i < a.method.size(); ++i) {
      EXPECT_EQ(a.method[i].name, b.method[i].name);
      expect_same_tensor(a.method[i].value, b.method[i].value, a.method[i].name);
    }
    expect_same_records(a.records, b.records);
  }

  static void expect_same_records(const RunResult& a, const RunResult& b) {
    EXPECT_EQ(a.steps, b.steps);
    EXPECT_EQ(a.first_loss, b.first_loss);
    EXPECT_EQ(a.last_loss, b.last_loss);
    EXPECT_EQ(a.evaluated_step, b.evaluated_step);
    EXPECT_EQ(a.best_eval_loss, b.best_eval_loss);
    EXPECT_EQ(a.best_step, b.best_step);
    EXPECT_EQ(a.evaluations_since_best, b.evaluations_since_best);
    EXPECT_EQ(a.tokens, b.tokens);
    EXPECT_EQ(a.target_tokens, b.target_tokens);
  }

  /// The entries without what comes from the clock or the process.
  static std::vector<nlohmann::json> entries(const fs::path& path) {
    std::ifstream file(path);
    std::vector<nlohmann::json> found;
    for (std::string line; std::getline(file, line);) {
      found.push_back(nlohmann::json::parse(line));
      for (const char* key : {"seconds", "tokens_per_second", "peak_rss_bytes", "eval_runtime",
                              "eval_samples_per_second", "eval_steps_per_second"})
        found.back().erase(key);
    }
    return found;
  }

  test::TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::vector<Example> rows;
  TrainOptions options;
};

TEST_P(ResumeContract, StoppedRunsEndWithTheBitsOfThoseThatWereNot) {
  const std::optional<RunResult> whole = run(out("whole"), {}, 0);
  // Once before an evaluation, once after a step without one; each time in new objects.
  ASSERT_FALSE(run(out("parts"), {}, 3));
  ASSERT_FALSE(run(out("parts"), out("parts") / "checkpoint-3", 5));
  const std::optional<RunResult> parts = run(out("parts"), out("parts") / "checkpoint-5", 0);
  ASSERT_TRUE(whole && parts);
  expect_same_records(*whole, *parts);
  for (const char* name : {"checkpoint-2", "checkpoint-4", "checkpoint-6"}) expect_same_states(name);
  const std::vector<nlohmann::json> records = entries(out("whole") / "metrics.jsonl");
  EXPECT_EQ(records.size(), 8U + 3U);
  EXPECT_EQ(records, entries(out("parts") / "metrics.jsonl"));
  const std::vector<fs::path> files = adapter_files(out("whole"));
  EXPECT_GE(files.size(), 2U);
  EXPECT_EQ(files, adapter_files(out("parts")));
  for (const fs::path& name : files)
    EXPECT_EQ(test::content_of(out("whole") / name), test::content_of(out("parts") / name)) << name;
}

INSTANTIATE_TEST_SUITE_P(AllMethods, ResumeContract, testing::ValuesIn(all_resumed_runs()),
                         [](const auto& info) {
                           std::string name = info.param.family + "_" + info.param.method;
                           std::ranges::replace(name, '+', '_');
                           return name;
                         });

}  // namespace
}  // namespace lowrank
