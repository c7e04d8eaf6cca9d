#include "study/compare/comparison_options.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include "base/error.h"
#include "base/nearest_name.h"
#include "base/one_line.h"
#include "study/compare/collected.h"
#include "study/compare/run_store.h"

namespace lowrank {
namespace {

/// A mapping. Where all its values are numbers and its keys are not sorted, the YAML reader makes pairs of
/// it.
nlohmann::json as_object(const nlohmann::json& given, std::string_view name) {
  if (given.is_object()) return given;
  nlohmann::json object = nlohmann::json::object();
  bool pairs = given.is_array() && !given.empty();
  for (const nlohmann::json& pair : given) {
    pairs = pairs && pair.is_array() && pair.size() == 2 && pair[0].is_string();
    if (pairs) object[pair[0].get<std::string>()] = pair[1];
  }
  check(pairs, ErrorKind::invalid, "{}: expected names with values", name);
  return object;
}

/// A field that a file gives as something else than one value.
Field structured(std::string name, std::string help, std::string type, std::function<nlohmann::json()> get,
                 std::function<void(const nlohmann::json&)> set) {
  return {std::move(name), std::move(help), std::move(get), std::move(set), std::move(type), {}};
}

/// A mapping whose keys are these fields.
Field section(const std::string& name, const std::vector<Field>& fields, std::string help) {
  return structured(
      name, std::move(help), "mapping", [fields] { return resolved(fields); },
      [fields, name](const nlohmann::json& given) { apply(fields, as_object(given, name), name); });
}

/// A mapping that something else interprets later.
Field mapping(const std::string& name, nlohmann::json& value, std::string help) {
  return structured(
      name, std::move(help), "mapping", [&value] { return value; },
      [&value, name](const nlohmann::json& given) { value = as_object(given, name); });
}

Field methods_field(nlohmann::json& value) {
  return structured(
      "methods", "the methods, each with its options", "list of mappings", [&value] { return value; },
      [&value](const nlohmann::json& given) {
        check(given.is_array() && !given.empty(), ErrorKind::invalid,
              "methods: expected a list with an entry for each method");
        value = given;
      });
}

/// What a run of a comparison takes of the options of `train`: it has no checkpoints and no logs of its own.
std::vector<Field> training_fields(TrainOptions& training) {
  static const std::set<std::string> unused = {"seed",       "log_every", "report_to", "early_stop",
                                               "save_every", "keep",      "profile",   "memory_limit"};
  std::vector<Field> fields;
  for (Field& option : training.fields()) {
    if (option.name == "eval_every")
      option.help = "steps between evaluations of the curve; 0: at the end only";
    if (!unused.contains(option.name)) fields.push_back(std::move(option));
  }
  return fields;
}

/// Those of an entry's keys that are fields, removed from `entry`.
nlohmann::json taken(nlohmann::json& entry, std::span<const Field> fields) {
  nlohmann::json found = nlohmann::json::object();
  for (const Field& option : fields) {
    if (!entry.contains(option.name)) continue;
    found[option.name] = entry[option.name];
    entry.erase(option.name);
  }
  return found;
}

/// Names those keys that nothing took, each with the nearest that exists.
void refuse_others(const nlohmann::json& entry, const std::vector<std::string>& known,
                   const std::string& where, std::vector<std::string>& problems) {
  for (const auto& [key, value] : entry.items()) {
    const auto near = nearest_name(key, known);
    problems.push_back(fmt::format("{}: unknown key {}{}", where, in_quotes(key),
                                   near ? fmt::format(" (did you mean {}?)", *near) : ""));
  }
}

void check_seeds(const std::vector<int64_t>& given, const std::string& where,
                 std::vector<std::string>& problems) {
  const std::set<int64_t> seeds(given.begin(), given.end());
  if (seeds.empty() || seeds.size() != given.size() || *seeds.begin() < 0)
    problems.push_back(where + ": expected different numbers from 0 on");
}

ComparedMethod read_method(nlohmann::json entry, size_t number, std::vector<std::string>& problems) {
  ComparedMethod found;
  const size_t earlier = problems.size();
  std::string where = fmt::format("methods, entry {}", number);
  if (!entry.is_object() || !entry.contains("method")) {
    problems.push_back(where + ": expected a mapping with the key method");
    return found;
  }
  std::optional<double> rate;
  const std::vector<Field> own = {
      field("method", found.method, "training method"), field("label", found.label, "its name in the tables"),
      limited(field("learning_rates", found.learning_rates, "peak learning rates to choose from"), 1e-12,
              1e3),
      limited(field("lr", rate, "the only peak learning rate"), 1e-12, 1e3),
      field("seeds", found.seeds, "a run for each, in place of the comparison's")};
  collect(problems, [&] { apply(own, taken(entry, own), where); });
  if (!found.seeds.empty()) check_seeds(found.seeds, where + ": seeds", problems);
  if (rate && !found.learning_rates.empty())
    problems.push_back(where + ": give lr or learning_rates, not both");
  if (rate) found.learning_rates = {*rate};
  where = fmt::format("methods, entry {} ({})", number, one_line(found.method));
  TrainOptions scratch;
  const std::vector<Field> training = training_fields(scratch);
  std::vector<std::string> names;
  names.reserve(own.size());
  for (const Field& option : own) names.push_back(option.name);
  collect(problems, [&] {
    const ChosenMethod chosen = choose_method(found.method);
    const std::vector<Field> options = chosen.method->fields();
    found.options = taken(entry, options);
    found.training = taken(entry, training);
    for (const Field& option : options) names.push_back(option.name);
    for (const Field& option : training) names.push_back(option.name);
    refuse_others(entry, names, where, problems);
    collect(problems, [&] { apply(options, found.options, where); });
    collect(problems, [&] { apply(training, found.training, where); });
  });
  if (found.label.empty()) found.label = found.method;
  if (problems.size() > earlier) found.method.clear();
  return found;
}

void check_methods(const std::vector<ComparedMethod>& methods, std::vector<std::string>& problems) {
  std::vector<std::string> labels;
  for (const ComparedMethod& method : methods) {
    labels.push_back(method.label);
    const std::set<double> rates(method.learning_rates.begin(), method.learning_rates.end());
    if (rates.size() != method.learning_rates.size())
      problems.push_back(
          fmt::format("methods, {}: learning_rates names a rate twice", one_line(method.label)));
  }
  check_labels(labels, problems);
}

}  // namespace

std::vector<Field> SearchOptions::fields() {
  return {limited(field("rungs", rungs, "rounds of shorter runs before the whole ones"), 1, 10),
          limited(field("keep", keep, "share of the rates that goes on to the next round"), 0.05, 0.95),
          one_of(field("judge", judge,
                       "loss: on the validation rows; metric: the benchmark's first, on the same rows"),
                 {"loss", "metric"})};
}

ChosenMethod ComparedMethod::choose() const {
  ChosenMethod chosen = choose_method(method);
  apply(chosen.method->fields(), options, label);
  return chosen;
}

std::vector<double> ComparedMethod::rates() const {
  if (!learning_rates.empty()) return learning_rates;
  return {choose_method(method).info->default_learning_rate};
}

std::vector<Field> ComparisonOptions::fields() {
  constexpr double most = 1 << 30;
  std::vector<Field> all = session.fields();
  std::vector<Field> budget = training_fields(training);
  std::erase_if(budget, [](const Field& option) { return option.name == "lr"; });
  budget.push_back(limited(
      field("minutes", minutes, "minutes of training per run, in place of `steps` and `epochs`"), 1e-3, 1e5));
  std::vector<Field> own = {
      field("benchmark", benchmark, "the task: a benchmark's name, or rows"),
      field("source", source, "folder with the benchmark's published files"),
      mapping("benchmark_options", benchmark_options, "options of the benchmark"),
      section("training", budget, "the budget and the other options of each run"),
      field("seeds", seeds, "a run for each"),
      section("search", search.fields(), "how learning rates are chosen"),
      mapping("generation", generation, "options of the answers that differ from the benchmark's"),
      limited(field("max_rows", max_rows, "rows asked after a run; 0: all"), 0, most),
      limited(field("validation_rows", validation_rows, "validation rows used; 0: all"), 0, most),
      limited(field("max_length", max_length, "most tokens per example; 0: the model's context"), 0, most),
      field("general_text", general_text, "rows of other text, on which forgetting is measured"),
      limited(field("latency_tokens", latency_tokens,
                    "tokens generated to measure the time of one; 0: it is not measured"),
              0, 1 << 16),
      limited(field("samples", samples, "answers shown side by side"), 0, 1000),
      field("base", base, "also ask the base before training"),
      field("together", together, "train runs of a method in one batch where that is faster"),
      field("output", output, "folder for runs and tables")};
  std::ranges::move(own, std::back_inserter(all));
  return all;
}

nlohmann::ordered_json ComparisonOptions::common() const {
  ComparisonOptions copy = *this;
  nlohmann::ordered_json values = resolved(copy.fields());
  // What only says where results go, what is also run, how much of them is shown, and what runs share.
  for (const char* name : {"output", "seeds", "base", "samples", "together"}) values.erase(name);
  return values;
}

nlohmann::ordered_json ComparisonOptions::of_method(const ComparedMethod& method) {
  const ChosenMethod chosen = method.choose();
  return {{"method", method.method},
          {"learning_rates", method.rates()},
          {"options", resolved(chosen.method->fields())},
          {"training", method.training}};
}

TrainOptions ComparisonOptions::training_of(const ComparedMethod& method, int64_t seed,
                                            std::optional<double> rate) const {
  TrainOptions found = training;
  apply(training_fields(found), method.training, method.label);
  found.seed = seed;
  found.lr = rate;
  return found;
}

ComparisonOptions read_comparison(const nlohmann::json& given, std::string_view where,
                                  std::vector<std::string>& problems) {
  ComparisonOptions options;
  nlohmann::json methods = nlohmann::json::array();
  std::vector<Field> fields = options.fields();
  fields.push_back(methods_field(methods));
  collect(problems, [&] { apply(fields, given, where); });
  size_t number = 0;
  for (const nlohmann::json& entry : methods)
    options.methods.push_back(read_method(entry, ++number, problems));
  check_seeds(options.seeds, "seeds", problems);
  for (ComparedMethod& method : options.methods)
    if (method.seeds.empty()) method.seeds = options.seeds;
  if (!given.contains("methods")) problems.emplace_back("methods: missing; expected a list of methods");
  check_methods(options.methods, problems);
  for (const auto& [name, value] : {std::pair("model", &options.session.model),
                                    {"benchmark", &options.benchmark},
                                    {"source", &options.source},
                                    {"output", &options.output}})
    if (value->empty() && !given.contains(name)) problems.push_back(fmt::format("{}: missing", name));
  if (options.minutes && options.training.steps)
    problems.emplace_back("training: minutes and steps both set the budget; leave one of them out");
  collect(problems, [&] { options.training.check_batches(); });
  return options;
}

}  // namespace lowrank
