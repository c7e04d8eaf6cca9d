// How much faster several runs train in passes that they share (train/together/joint_steps.h) than one after
// the other:  joint_steps MODEL ROWS.jsonl [STEPS [THREADS]] For micro-batches of 1, 2, 4 and 8 rows and 2
// and 4 LoRA runs of rank 8 with different seeds: milliseconds per step of all runs, one after the other (A)
// and together (B), in the order A B A B; the smaller of each two, by the clock and by the processor's time.
#include "train/together/joint_steps.h"

#include <algorithm>
#include <ctime>
#include <iostream>

#include <fmt/format.h>

#include "base/process.h"
#include "data/dataset.h"
#include "kernels/core/parallel.h"
#include "kernels/core/prepare_kernels.h"
#include "model/registry.h"
#include "peft/core/registry.h"
#include "tokenizer/tokenizer.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

double processor_seconds() {
  std::timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Times {
  double clock = 1e300, processor = 1e300;
};

struct JointBench {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<Model> model;
  Dataset rows;
  int64_t steps;

  Adapter adapter(int64_t seed) const {
    const MethodInfo& info = method_named("lora");
    Adapter made = make_adapter(info, info.make(), *checkpoint);
    made.method->initialise(*checkpoint, static_cast<uint64_t>(seed));
    return made;
  }

  /// Lowers `best` to the times of a step of all runs, after a first one that is not counted.
  void measure(int64_t runs, int64_t batch, bool together, Times& best) const {
    std::vector<Adapter> adapters;
    std::vector<TrainOptions> options;
    for (int64_t run = 0; run < runs; ++run) {
      adapters.push_back(adapter(run + 1));
      TrainOptions& own = options.emplace_back();
      own.steps = steps + 1;
      own.batch_size = batch;
      own.seed = run + 1;
    }
    std::vector<Adapter*> members;
    std::vector<size_t> all;
    for (Adapter& one : adapters) {
      all.push_back(members.size());
      members.push_back(&one);
    }
    JointSteps joint(*model, members, rows.examples, options);
    std::vector<std::unique_ptr<ExampleTrainer>> alone;
    for (size_t run = 0; run < members.size(); ++run)
      alone.push_back(std::make_unique<ExampleTrainer>(*model, adapters[run], rows.examples, options[run]));
    const auto step = [&] {
      if (together) {
        joint.step(all);
      } else {
        for (const auto& trainer : alone) trainer->step();
      }
    };
    step();
    const double clock = monotonic_seconds(), processor = processor_seconds();
    for (int64_t i = 0; i < steps; ++i) step();
    best.clock = std::min(best.clock, (monotonic_seconds() - clock) / static_cast<double>(steps));
    best.processor = std::min(best.processor, (processor_seconds() - processor) / static_cast<double>(steps));
  }
};

int joint_bench(int count, char** values) {
  if (count < 3) {
    std::cerr << "usage: joint_steps MODEL ROWS.jsonl [STEPS [THREADS]]\n";
    return 2;
  }
  prepare_kernels();
  if (count > 4) set_thread_count(std::stoi(values[4]));
  JointBench bench;
  bench.steps = count > 3 ? std::stoll(values[3]) : 8;
  bench.checkpoint = Checkpoint::open(values[1]);
  const Tokenizer tokenizer = load_tokenizer(values[1]);
  bench.rows = load_dataset(values[2], &tokenizer, bench.checkpoint->spec().vocabulary_size, {});
  LoadOptions load;
  load.training = true;
  bench.model = bench.checkpoint->family().load(bench.checkpoint, load);
  std::cout << fmt::format("{:.0f} tokens a row\n", static_cast<double>(bench.rows.tokens()) /
                                                        static_cast<double>(bench.rows.examples.size()));
  for (const int64_t batch : {1, 2, 4, 8}) {
    for (const int64_t runs : {2, 4}) {
      Times one_by_one, together;
      for (int round = 0; round < 2; ++round) {
        bench.measure(runs, batch, false, one_by_one);
        bench.measure(runs, batch, true, together);
      }
      std::cout << fmt::format(
                       "batch {}, {} runs: {:.0f} ms alone, {:.0f} ms together, {:.2f} times as fast "
                       "({:.2f} by the processor's time)",
                       batch, runs, 1e3 * one_by_one.clock, 1e3 * together.clock,
                       one_by_one.clock / together.clock, one_by_one.processor / together.processor)
                << std::endl;
    }
  }
  return 0;
}

}  // namespace
}  // namespace lowrank

int main(int count, char** values) {
  return lowrank::joint_bench(count, values);
}
