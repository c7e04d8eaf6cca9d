#include <algorithm>
#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/benchmarks/benchmarks.h"
#include "data/dataset.h"
#include "infer/decode_speed.h"
#include "session/session.h"

namespace lowrank {
namespace {

struct Options {
  SessionOptions session;
  std::vector<std::string> adapters, models, memories;
  std::string prompt = "Once upon a time";
  int64_t tokens = 64, rounds = 5;
  bool json = false;

  std::vector<Field> fields() {
    return {field("adapters", adapters, "adapter folders, each measured on the model"),
            field("models", models, "further models to measure, such as a merged one"),
            field("memories", memories, "further values of `base_memory` to measure the model with"),
            any_text(field("prompt", prompt, "text that the tokens follow")),
            limited(field("tokens", tokens, "tokens per measurement"), 2, 1 << 16),
            limited(field("rounds", rounds, "measurements of each, in turn"), 1, 1000),
            field("json", json, "the result as JSON")};
  }
};

/// One of the models (with or without an adapter) that are compared.
struct Contestant {
  std::string name;
  std::unique_ptr<OpenSession> session;  ///< its hooks' address must not change
  std::vector<double> seconds;           ///< per token, by round

  Contestant(std::string label, const SessionOptions& options, const std::string& adapter)
      : name(std::move(label)), session(std::make_unique<OpenSession>(open_session(options, adapter))) {}
};

std::vector<Contestant> open_all(const Options& options) {
  std::vector<Contestant> all;
  all.emplace_back(options.session.model, options.session, "");
  for (const std::string& adapter : options.adapters) all.emplace_back(adapter, options.session, adapter);
  for (const std::string& model : options.models) {
    SessionOptions session = options.session;
    session.model = model;
    all.emplace_back(model, session, "");
  }
  for (const std::string& memory : options.memories) {
    SessionOptions session = options.session;
    apply(session.fields(), {{"base_memory", memory}}, "`memories`");
    all.emplace_back(options.session.model + " (" + memory + ")", session, "");
  }
  for (const Contestant& one : all) {
    check(one.session->checkpoint->spec().task == Task::causal_lm, ErrorKind::unsupported,
          "{}: an encoder generates no text", one.name);
  }
  return all;
}

/// Ratios of its times to those of `base` in the same rounds.
std::vector<double> ratios_of(const Contestant& one, const Contestant& base) {
  std::vector<double> ratios;
  for (size_t i = 0; i < one.seconds.size(); ++i) ratios.push_back(one.seconds[i] / base.seconds[i]);
  return ratios;
}

nlohmann::ordered_json results_of(const std::vector<Contestant>& all) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Contestant& one : all) {
    const std::vector<double> ratios = ratios_of(one, all.front());
    rows.push_back({{"name", one.name},
                    {"milliseconds_per_token", 1e3 * median(one.seconds)},
                    {"ratio", median(ratios)},
                    {"lowest_ratio", *std::ranges::min_element(ratios)},
                    {"highest_ratio", *std::ranges::max_element(ratios)}});
  }
  return rows;
}

}  // namespace

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

int bench_decode(Arguments& arguments) {
  Options options;
  arguments.add(options.session.fields());
  arguments.add(options.fields());
  if (!arguments.parse()) return 0;
  std::vector<Contestant> all = open_all(options);
  const Tokenizer tokenizer = load_tokenizer(options.session.model);
  const std::vector<int64_t> prompt = encode_prompt(tokenizer, options.prompt);
  // The first round creates the kernels and is discarded.
  for (int64_t round = 0; round <= options.rounds; ++round) {
    for (Contestant& one : all) {
      throw_if_interrupted();
      const double seconds =
          seconds_per_token(*one.session->model, one.session->hooks(), tokenizer, prompt, options.tokens);
      if (round > 0) one.seconds.push_back(seconds);
    }
  }
  const nlohmann::ordered_json results = results_of(all);
  if (options.json) std::cout << json_text(results, 2) << '\n';
  for (const auto& row : results) {
    info("{:8.2f} ms a token, {:.2f} of the base's ({:.2f} to {:.2f})  {}",
         row["milliseconds_per_token"].get<double>(), row["ratio"].get<double>(),
         row["lowest_ratio"].get<double>(), row["highest_ratio"].get<double>(),
         row["name"].get<std::string>());
  }
  return 0;
}

}  // namespace lowrank
