#include <iostream>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/benchmarks/benchmarks.h"
#include "data/dataset.h"
#include "kernels/core/op_profile.h"
#include "kernels/products/replay.h"
#include "peft/files/side_by_side.h"
#include "session/session.h"
#include "session/starting_adapter.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

/// Steps before the first that counts; they create kernels and buffers.
constexpr int64_t warm_up_steps = 3;

struct Options {
  SessionOptions session;
  TrainOptions train;
  std::string method = "lora", data;
  int64_t rounds = 10;
  bool json = false;

  std::vector<Field> own_fields() {
    return {field("method", method, "what is trained"), field("data", data, "training rows"),
            limited(field("rounds", rounds, "steps that are measured"), 1, 1000),
            field("json", json, "the result as JSON")};
  }
};

struct Measured {
  std::vector<double> step_seconds, product_seconds, shares;
  double flops = 0;
  size_t products = 0;
};

/// Alternates between a real step and its matrix products alone.
Measured measure(ExampleTrainer& trainer, int64_t rounds) {
  Measured measured;
  OpProfile profile(true);
  for (int64_t i = 0; i < warm_up_steps + rounds; ++i) {
    throw_if_interrupted();
    profile.clear();
    StepResult step;
    {
      const ProfileScope scope(profile);
      step = trainer.step();
    }
    const double alone = replay(profile.products());
    if (i < warm_up_steps) continue;
    measured.step_seconds.push_back(step.seconds);
    measured.product_seconds.push_back(alone);
    measured.shares.push_back(alone / step.seconds);
    measured.products = profile.products().size();
    for (const auto& [name, time] : profile.times()) measured.flops += time.flops;
  }
  return measured;
}

void tell(const Measured& measured, bool json) {
  double alone = 0;
  for (const double seconds : measured.product_seconds) alone += seconds;
  const nlohmann::ordered_json result = {{"step_seconds", median(measured.step_seconds)},
                                         {"product_seconds", median(measured.product_seconds)},
                                         {"share", median(measured.shares)},
                                         {"products_per_step", measured.products},
                                         {"product_gflops", 1e-9 * measured.flops / alone}};
  if (json) std::cout << json_text(result, 2) << '\n';
  info("a step takes {:.1f} ms, its {} matrix products alone {:.1f} ms ({:.0f} GFLOP/s): {:.1f} % of it",
       1e3 * median(measured.step_seconds), measured.products, 1e3 * median(measured.product_seconds),
       1e-9 * measured.flops / alone, 100 * median(measured.shares));
}

}  // namespace

int bench_limit(Arguments& arguments) {
  Options options;
  ChosenMethod chosen;
  arguments.add(options.session.fields());
  arguments.add(options.own_fields());
  arguments.add(options.train.fields());
  arguments.add_later(
      "method",
      [&](const std::string& name) {
        chosen = choose_method(name.empty() ? options.method : name);
        return chosen.method->fields();
      },
      all_method_options());
  if (!arguments.parse()) return 0;
  require({{"--model", &options.session.model}, {"--data", &options.data}});
  check(load_options(options.session).device.is_cpu(), ErrorKind::unsupported,
        "bench limit measures the CPU's products, not those of `device` {}", options.session.device);
  const auto checkpoint = open_model(options.session);
  Adapter adapter = make_adapter(*chosen.info, std::move(chosen.method), *checkpoint);
  const Tokenizer tokenizer = load_tokenizer(options.session.model);
  DatasetOptions dataset;
  dataset.max_length = checkpoint->spec().max_positions - adapter.plan.context_rows;
  const Dataset rows = load_dataset(options.data, &tokenizer, checkpoint->spec().vocabulary_size, dataset);
  const std::unique_ptr<Model> model = load_model(checkpoint, options.session, &adapter.plan, true);
  adapter.method->initialise(*checkpoint, static_cast<uint64_t>(options.train.seed));
  options.train.steps = warm_up_steps + options.rounds;
  ExampleTrainer trainer(*model, adapter, rows.examples, options.train);
  tell(measure(trainer, options.rounds), options.json);
  return 0;
}

}  // namespace lowrank
