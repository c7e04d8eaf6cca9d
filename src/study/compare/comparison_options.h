#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "peft/files/side_by_side.h"
#include "session/session.h"
#include "train/options.h"

namespace lowrank {

/// Which learning rate a method gets: successive halving (Jamieson & Talwalkar 2016).
struct SearchOptions {
  int64_t rungs = 2;           ///< rounds of shorter runs before the whole ones
  double keep = 0.5;           ///< share of the rates that goes on, and of the next round's budget
  std::string judge = "loss";  ///< or `metric`: the benchmark's first, on the validation rows

  /// Fields that point into this value.
  std::vector<Field> fields();
};

/// A method of a comparison with its options: one line of the table.
struct ComparedMethod {
  std::string method;  ///< empty if there are mistakes in the entry
  std::string label;
  std::vector<double> learning_rates;                  ///< one, or several to search; empty: the method's own
  nlohmann::json options = nlohmann::json::object();   ///< the method's, by name
  nlohmann::json training = nlohmann::json::object();  ///< that differ from the comparison's
  std::vector<int64_t> seeds;                          ///< of its runs

  /// The method with its options set. Errors: as choose_method and apply.
  ChosenMethod choose() const;
  /// The rates that are tried.
  std::vector<double> rates() const;
};

/// Methods compared on one task and one base.
struct ComparisonOptions {
  SessionOptions session;
  std::string benchmark, source, output, general_text;
  nlohmann::json benchmark_options = nlohmann::json::object();
  nlohmann::json generation = nlohmann::json::object();  ///< options that differ from the benchmark's
  TrainOptions training;
  std::optional<double> minutes;  ///< of training per run, in place of steps or epochs
  std::vector<ComparedMethod> methods;
  std::vector<int64_t> seeds = {1};
  SearchOptions search;
  int64_t max_rows = 0, validation_rows = 0, max_length = 0;
  int64_t latency_tokens = 32, samples = 8;
  bool base = true, together = true;

  /// The options with plain values, as fields that point into this value.
  std::vector<Field> fields();
  /// What the numbers of all runs depend on, and of each method by its label.
  nlohmann::ordered_json common() const;
  static nlohmann::ordered_json of_method(const ComparedMethod& method);
  /// The training options of a run.
  TrainOptions training_of(const ComparedMethod& method, int64_t seed, std::optional<double> rate) const;
};

/// The options in a configuration's object. Mistakes are added to `problems`, a sentence for each; `where`
/// names the file.
ComparisonOptions read_comparison(const nlohmann::json& given, std::string_view where,
                                  std::vector<std::string>& problems);

}  // namespace lowrank
