#include <algorithm>
#include <ctime>
#include <iostream>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "cli/arguments.h"
#include "cli/benchmarks/benchmarks.h"
#include "infer/engine/engine.h"
#include "session/session.h"

namespace lowrank {
namespace {

struct Options {
  SessionOptions session;
  EngineOptions engine;
  std::vector<std::string> adapters;
  int64_t known = 1000, resident = 32, requests = 16, prompt = 200, tokens = 64, rounds = 5;
  bool json = false;

  std::vector<Field> fields() {
    return {field("adapters", adapters, "adapter folders; the known adapters take them in turn"),
            limited(field("known", known, "adapters that are known"), 1, 1 << 20),
            limited(field("resident", resident, "adapters in memory at a time"), 1, 1 << 20),
            limited(field("requests", requests, "requests at a time"), 1, 4096),
            limited(field("prompt", prompt, "tokens of each prompt"), 1, 1 << 20),
            limited(field("tokens", tokens, "tokens generated for each"), 1, 1 << 20),
            limited(field("rounds", rounds, "measurements of each, in turn"), 1, 1000),
            field("json", json, "the result as JSON")};
  }
};

/// What is served in a round.
struct Contestant {
  std::string name;
  int64_t adapters = 0;             ///< different ones among the requests, others in each round; 0: the base
  std::vector<double> speeds = {};  ///< tokens of prompts and texts per second, by round
  std::vector<double> cpu = {};     ///< processor seconds, of all threads
  std::vector<double> first_ms = {};    ///< until a request's first token, the slowest of the round
  std::vector<double> longest_ms = {};  ///< the longest wait of a request for its next token
};

/// Processor time of the process, which other programs disturb less than the clock.
double cpu_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

std::string name_of(int64_t adapter) {
  return fmt::format("adapter {}", adapter);
}

/// The requests of a round. Their prompts are random, so that none shares a prefix.
std::vector<EngineRequest> requests_of(const Options& options, const Contestant& one, int64_t round,
                                       int64_t vocabulary, uint64_t seed) {
  Philox random(seed);
  std::vector<EngineRequest> all(options.requests);
  for (int64_t i = 0; i < options.requests; ++i) {
    for (int64_t t = 0; t < options.prompt; ++t)
      all[i].prompt.push_back(static_cast<int64_t>(random.below(static_cast<uint64_t>(vocabulary))));
    all[i].max_new_tokens = options.tokens;
    all[i].ignore_eos = true;
    if (one.adapters == 0) continue;
    const int64_t first = one.adapters == 1 ? 0 : round * one.adapters;
    all[i].adapter = name_of((first + i % one.adapters) % options.known);
  }
  return all;
}

void measure(Engine& engine, std::vector<EngineRequest> requests, Contestant& one) {
  const double started = monotonic_seconds(), cpu = cpu_seconds();
  int64_t tokens = 0;
  double first = 0, longest = 0;
  std::map<uint64_t, double> last;
  for (EngineRequest& request : requests) {
    tokens += std::ssize(request.prompt) + request.max_new_tokens;
    engine.submit(std::move(request));
  }
  while (!engine.idle()) {
    throw_if_interrupted();
    engine.step([&](const EngineEvent& event) {
      check(event.error.empty(), ErrorKind::invalid, "request {}: {}", event.request, event.error);
      const double now = monotonic_seconds();
      const auto [entry, is_first] = last.emplace(event.request, now);
      is_first ? first = std::max(first, now - started) : longest = std::max(longest, now - entry->second);
      entry->second = now;
    });
  }
  one.speeds.push_back(static_cast<double>(tokens) / (monotonic_seconds() - started));
  one.cpu.push_back(cpu_seconds() - cpu);
  one.first_ms.push_back(1e3 * first);
  one.longest_ms.push_back(1e3 * longest);
}

nlohmann::ordered_json result_of(const Contestant& one, const Contestant& base) {
  std::vector<double> ratios, cpu_ratios;
  for (size_t i = 0; i < one.speeds.size(); ++i) {
    ratios.push_back(one.speeds[i] / base.speeds[i]);
    cpu_ratios.push_back(base.cpu[i] / one.cpu[i]);
  }
  return {{"name", one.name},
          {"tokens_per_second", median(one.speeds)},
          {"ratio", median(ratios)},
          {"lowest_ratio", *std::ranges::min_element(ratios)},
          {"highest_ratio", *std::ranges::max_element(ratios)},
          {"ratio_by_cpu_time", median(cpu_ratios)},
          {"first_token_ms", median(one.first_ms)},
          {"longest_wait_ms", median(one.longest_ms)}};
}

}  // namespace

int bench_serving(Arguments& arguments) {
  Options options;
  arguments.add(options.session.fields());
  arguments.add(options.engine.fields(), "Engine");
  arguments.add(options.fields());
  if (!arguments.parse()) return 0;
  const OpenSession session = open_session(options.session, std::string());
  const Tokenizer tokenizer = load_tokenizer(options.session.model);
  AdapterStore store(session.checkpoint, options.resident, load_options(options.session).device);
  double started = monotonic_seconds();
  std::vector<Contestant> all{{"base"}};
  if (!options.adapters.empty()) {
    for (int64_t i = 0; i < options.known; ++i)
      store.add(name_of(i), options.adapters[i % std::ssize(options.adapters)]);
    all.push_back({"one adapter", 1});
    const int64_t many = std::min(options.known, options.requests);
    all.push_back({fmt::format("{} of {} adapters", many, options.known), many});
  }
  info("{:8.2f} ms to make {} adapters known", 1e3 * (monotonic_seconds() - started), store.entries().size());
  Engine engine(*session.model, tokenizer, store, options.engine);
  std::vector<double> loads;
  uint64_t seed = 0;
  // The first round creates the kernels and is discarded.
  for (int64_t round = 0; round <= options.rounds; ++round) {
    for (Contestant& one : all) {
      measure(engine, requests_of(options, one, round, session.checkpoint->spec().vocabulary_size, ++seed),
              one);
      if (round == 0) one = {one.name, one.adapters};
    }
    if (all.size() == 1) continue;
    const auto known = store.find(name_of((round * options.requests + options.known / 2) % options.known), 1);
    started = monotonic_seconds();
    store.release(store.acquire(*known, 1));
    if (round > 0) loads.push_back(1e3 * (monotonic_seconds() - started));
  }
  nlohmann::ordered_json results = {{"requests", options.requests}};
  if (!loads.empty()) results["load_ms"] = median(loads);
  for (const Contestant& one : all) {
    const nlohmann::ordered_json row = result_of(one, all.front());
    const auto number = [&](const char* key) { return row[key].get<double>(); };
    info(
        "{:8.1f} tokens/s, {:.2f} of the base's ({:.2f} to {:.2f}; by processor time {:.2f}), first token "
        "after {:.0f} ms, then at most {:.0f} ms  {}",
        number("tokens_per_second"), number("ratio"), number("lowest_ratio"), number("highest_ratio"),
        number("ratio_by_cpu_time"), number("first_token_ms"), number("longest_wait_ms"), one.name);
    results["rows"].push_back(row);
  }
  if (!loads.empty()) info("{:8.2f} ms to make an adapter resident", median(loads));
  if (options.json) std::cout << json_text(results, 2) << '\n';
  return 0;
}

}  // namespace lowrank
