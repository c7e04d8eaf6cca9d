#include <algorithm>
#include <iostream>
#include <numeric>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "cli/arguments.h"
#include "cli/benchmarks/benchmarks.h"
#include "data/dataset.h"
#include "infer/generate.h"
#include "session/session.h"

namespace lowrank {
namespace {

struct Options {
  SessionOptions session;
  std::vector<std::string> adapters;
  std::string prompt = "Once upon a time";
  int64_t batch_size = 16, tokens = 48, rounds = 5;
  bool json = false;

  std::vector<Field> fields() {
    return {field("adapters", adapters, "adapter folders; the rows of a batch take them in turn"),
            any_text(field("prompt", prompt, "text that the tokens follow")),
            limited(field("batch_size", batch_size, "sequences decoded together"), 1, 4096),
            limited(field("tokens", tokens, "tokens per measurement"), 2, 1 << 16),
            limited(field("rounds", rounds, "measurements of each, in turn"), 1, 1000),
            field("json", json, "the result as JSON")};
  }
};

/// The adapters that the sequences of a batch use.
struct Contestant {
  std::string name;
  std::vector<int64_t> adapters;  ///< [sequences]
  std::vector<double> speeds;     ///< tokens per second, by round
};

/// Tokens per second of all sequences together; the pass over the prompts does not count.
double decode_speed(const OpenSession& session, const Tokenizer& tokenizer, const Options& options,
                    const std::vector<int64_t>& adapters) {
  const std::vector<std::vector<int64_t>> prompts(options.batch_size,
                                                  encode_prompt(tokenizer, options.prompt));
  GenerationOptions generation;
  generation.ignore_eos = true;
  generation.batch_size = options.batch_size;
  generation.adapters = adapters;
  const auto seconds = [&](int64_t count) {
    generation.max_new_tokens = count;
    const double started = monotonic_seconds();
    generate(*session.model, session.hooks(), tokenizer, prompts, generation);
    return monotonic_seconds() - started;
  };
  const double first = seconds(1);
  return static_cast<double>(options.batch_size * (options.tokens - 1)) / (seconds(options.tokens) - first);
}

/// Milliseconds to read an adapter and make it ready on a loaded base.
double switch_time(const OpenSession& session, const std::string& folder) {
  const double started = monotonic_seconds();
  const Adapter adapter = load_adapter(folder, *session.checkpoint);
  const InferenceHooks ready(adapter);
  return 1e3 * (monotonic_seconds() - started);
}

nlohmann::ordered_json result_of(const Contestant& one, const Contestant& base) {
  std::vector<double> ratios;
  for (size_t i = 0; i < one.speeds.size(); ++i) ratios.push_back(one.speeds[i] / base.speeds[i]);
  return {{"name", one.name},
          {"tokens_per_second", median(one.speeds)},
          {"ratio", median(ratios)},
          {"lowest_ratio", *std::ranges::min_element(ratios)},
          {"highest_ratio", *std::ranges::max_element(ratios)}};
}

}  // namespace

int bench_adapters(Arguments& arguments) {
  Options options;
  arguments.add(options.session.fields());
  arguments.add(options.fields());
  if (!arguments.parse()) return 0;
  check(!options.adapters.empty(), ErrorKind::invalid, "--adapters names no adapter");
  std::vector<std::string> named;
  for (size_t i = 0; i < options.adapters.size(); ++i)
    named.push_back(fmt::format("{}={}", i, options.adapters[i]));
  const OpenSession session = open_session(options.session, named);
  const Tokenizer tokenizer = load_tokenizer(options.session.model);
  std::vector<int64_t> in_turn(options.batch_size);
  for (size_t i = 0; i < in_turn.size(); ++i) in_turn[i] = static_cast<int64_t>(i % options.adapters.size());
  std::vector<Contestant> all{
      {"base", std::vector<int64_t>(options.batch_size, no_adapter), {}},
      {"one adapter", std::vector<int64_t>(options.batch_size, 0), {}},
      {fmt::format("{} adapters", std::min<size_t>(options.adapters.size(), options.batch_size)),
       in_turn,
       {}}};
  std::vector<double> switches;
  // The first round creates the kernels and is discarded.
  for (int64_t round = 0; round <= options.rounds; ++round) {
    for (Contestant& one : all) {
      throw_if_interrupted();
      const double speed = decode_speed(session, tokenizer, options, one.adapters);
      if (round > 0) one.speeds.push_back(speed);
    }
    switches.push_back(switch_time(session, options.adapters[round % options.adapters.size()]));
  }
  nlohmann::ordered_json results = {{"batch_size", options.batch_size}, {"switch_ms", median(switches)}};
  for (const Contestant& one : all) {
    results["rows"].push_back(result_of(one, all.front()));
    const auto& row = results["rows"].back();
    info("{:8.1f} tokens/s, {:.2f} of the base's ({:.2f} to {:.2f})  {}",
         row["tokens_per_second"].get<double>(), row["ratio"].get<double>(),
         row["lowest_ratio"].get<double>(), row["highest_ratio"].get<double>(), one.name);
  }
  info("{:8.2f} ms to read another adapter and make it ready", median(switches));
  if (options.json) std::cout << json_text(results, 2) << '\n';
  return 0;
}

}  // namespace lowrank
