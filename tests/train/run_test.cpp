// What a run leaves behind when it is stopped.
#include "train/run.h"

#include <csignal>

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "base/interrupt.h"
#include "model/registry.h"
#include "peft/core/registry.h"
#include "peft/files/adapter_folder.h"
#include "support/expect_error.h"
#include "support/load_forms.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"
#include "train/checkpoint_folder.h"
#include "train/records/metrics_file.h"
#include "train/records/run_records.h"
#include "train/trainer.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

struct Tiny {
  Tiny() {
    test::write_tiny_model(folder.path() / "base", test::tiny_llama_config());
    checkpoint = Checkpoint::open(folder.path() / "base");
    rows = test::random_examples({7, 3, 9}, checkpoint->spec().vocabulary_size);
    const MethodInfo& info = method_named("lora");
    adapter = make_adapter(info, info.make(), *checkpoint);
    adapter.method->initialise(*checkpoint, 1);
    LoadOptions load = test::in_f32();
    load.training = true;
    load.use = uses_of(adapter.plan);
    model = checkpoint->family().load(checkpoint, load);
    options.steps = 3;
    options.eval_every = 1;
    run_folder.output = folder.path() / "out";
  }

  RunResult run() { return run_training(*model, adapter, rows, rows, options, run_folder, callbacks); }

  InterruptGuard guard;  // forgets signals of earlier tests
  test::TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::vector<Example> rows;
  Adapter adapter;
  std::unique_ptr<Model> model;
  TrainOptions options;
  RunFolder run_folder;
  RunCallbacks callbacks;
};

TEST(Run, ASignalBeforeAnEvaluationSavesTheState) {
  Tiny tiny;
  tiny.callbacks.after_step = [](const StepResult& step, int64_t) {
    if (step.step == 2) std::raise(SIGTERM);
  };
  test::expect_error(ErrorKind::interrupted, "checkpoint-2", "interrupted after step 2", [&] { tiny.run(); });
  const fs::path saved = tiny.run_folder.output / "checkpoint-2";
  EXPECT_EQ(read_state(saved / "trainer_state.safetensors").step, 2);
  EXPECT_NO_THROW(load_adapter(saved, *tiny.checkpoint));
  EXPECT_NO_THROW(load_adapter(tiny.run_folder.output, *tiny.checkpoint));
}

TEST(Run, ASignalAfterACheckpointNamesThatOne) {
  Tiny tiny;
  tiny.options.save_every = 1;
  tiny.callbacks.after_evaluation = [](int64_t step, const Evaluation&) {
    if (step == 2) std::raise(SIGINT);
  };
  test::expect_error(ErrorKind::interrupted, "checkpoint-2", "interrupted after step 2", [&] { tiny.run(); });
}

TEST(Run, StopsAfterEvaluationsWithoutALowerLossAlsoWhenResumed) {
  Tiny tiny;
  tiny.options.steps = 10;
  tiny.options.lr = 1e-30;  // too small to change a loss
  tiny.options.early_stop = 2;
  tiny.options.save_every = 1;
  const RunResult whole = tiny.run();
  EXPECT_TRUE(whole.stopped_early);
  EXPECT_EQ(whole.steps, 3);
  EXPECT_EQ(whole.best_step, 1);
  EXPECT_EQ(whole.evaluations_since_best, 2);
  EXPECT_FALSE(fs::exists(tiny.run_folder.output / "checkpoint-3"));
  tiny.run_folder.resume = tiny.run_folder.output / "checkpoint-2";
  const RunResult resumed = tiny.run();
  EXPECT_TRUE(resumed.stopped_early);
  EXPECT_EQ(resumed.steps, 3);
  EXPECT_EQ(resumed.best_step, 1);
}

TEST(Run, LeavesTheTrainersStateAndEvents) {
  Tiny tiny;
  tiny.options.save_every = 2;
  tiny.options.report_to = "tensorboard";
  tiny.run();
  const fs::path out = tiny.run_folder.output;
  const auto state = nlohmann::json::parse(test::content_of(out / trainer_state_name));
  EXPECT_EQ(state["global_step"], 3);
  EXPECT_EQ(state["log_history"].size(), 3U + 3U + 1U);
  EXPECT_EQ(state["best_model_checkpoint"], out.string());
  const auto saved = nlohmann::json::parse(test::content_of(out / "checkpoint-2" / trainer_state_name));
  EXPECT_EQ(saved["global_step"], 2);
  EXPECT_TRUE(fs::is_directory(saved["best_model_checkpoint"].get<std::string>()));
  tiny.run_folder.resume = out / "checkpoint-2";
  tiny.run();
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(out / events_folder)) {
    EXPECT_TRUE(is_event_file(entry.path().filename()));
    EXPECT_NE(test::content_of(entry.path()).find("train/grad_norm"), std::string::npos);
    ++files;
  }
  EXPECT_EQ(files, 2U);
}

TEST(Run, ACheckpointsFolderThatHoldsSomethingIsKept) {
  Tiny tiny;
  tiny.options.save_every = 1;
  fs::create_directories(tiny.run_folder.output / "checkpoint-1");
  std::ofstream(tiny.run_folder.output / "checkpoint-1" / "notes.txt") << "mine";
  test::expect_error(ErrorKind::invalid, "checkpoint-1", "cannot be saved", [&] { tiny.run(); });
  EXPECT_EQ(test::content_of(tiny.run_folder.output / "checkpoint-1" / "notes.txt"), "mine");
}

TEST(Run, OldCheckpointsWithFilesOfOthersAreKept) {
  Tiny tiny;
  tiny.options.save_every = 1;
  tiny.options.keep = 1;
  tiny.options.steps = 4;
  tiny.callbacks.after_step = [&](const StepResult& step, int64_t) {
    if (step.step == 2) std::ofstream(tiny.run_folder.output / "checkpoint-1" / "notes.txt") << "mine";
  };
  tiny.run();
  EXPECT_EQ(test::content_of(tiny.run_folder.output / "checkpoint-1" / "notes.txt"), "mine");
  EXPECT_FALSE(fs::exists(tiny.run_folder.output / "checkpoint-2"));
  EXPECT_TRUE(fs::exists(tiny.run_folder.output / "checkpoint-3"));
  EXPECT_EQ(newest_checkpoint(tiny.run_folder.output), tiny.run_folder.output / "checkpoint-3");
}

TEST(Run, AStateOfOtherParametersIsRefused) {
  Tiny tiny;
  tiny.options.save_every = 1;
  tiny.run();
  const MethodInfo& info = method_named("adalora");
  Adapter other = make_adapter(info, info.make(), *tiny.checkpoint);
  Trainer trainer(*tiny.model, other, tiny.options, {3, {}});
  TrainState state = read_state(tiny.run_folder.output / "checkpoint-2" / state_name);
  test::expect_error(ErrorKind::invalid, "", "trained parameters", [&] { trainer.set_state(state); });
  Trainer own(*tiny.model, tiny.adapter, tiny.options, {3, {}});
  state.method.push_back({"averages", state.m});
  test::expect_error(ErrorKind::invalid, "", "another method", [&] { own.set_state(state); });
}

TEST(Metrics, OfAnEarlierRunEndWithTheStepThatIsDone) {
  const test::TemporaryFolder folder;
  const auto path =
      folder.write("metrics.jsonl",
                   "{\"step\":1,\"loss\":2}\n{\"step\":1,\"eval_loss\":2}\n{\"step\":2,\"loss\":1}\n"
                   "{\"step\":2,\"eval_loss\":1}\n{\"step\":3,\"lo");
  EXPECT_EQ(metrics_until(path, 2, 1),
            "{\"step\":1,\"loss\":2}\n{\"step\":1,\"eval_loss\":2}\n{\"step\":2,\"loss\":1}\n");
  EXPECT_EQ(metrics_until(path, 3, 3), test::content_of(path).substr(0, test::content_of(path).rfind('{')));
  EXPECT_EQ(metrics_until(folder.path() / "none", 3, 3), "");
}

TEST(Run, AnAdapterThatWasCutOffInTakingItsPlaceIsReadFromWhereItIs) {
  Tiny tiny;
  tiny.run();
  const fs::path out = tiny.run_folder.output, next = out / next_adapter_name;
  const at::Tensor first = tiny.adapter.parameters->values().clone();
  // The state right after the new adapter has appeared.
  {
    const at::NoGradGuard no_grad;
    tiny.adapter.parameters->values().add_(1);
  }
  write_adapter(next, tiny.adapter, "base");
  const auto values = [&] { return load_adapter(out, *tiny.checkpoint).parameters->values().clone(); };
  EXPECT_TRUE(at::equal(values(), tiny.adapter.parameters->values()));
  save_adapter(out, tiny.adapter, "base");
  EXPECT_FALSE(fs::exists(next));
  EXPECT_TRUE(at::equal(values(), tiny.adapter.parameters->values()));
  EXPECT_FALSE(at::equal(values(), first));
}

}  // namespace
}  // namespace lowrank
