#include "study/weight_dimension.h"

#include <algorithm>
#include <set>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "peft/core/registry.h"
#include "session/task.h"
#include "study/loaded_base.h"
#include "study/measured_run.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

constexpr const char* dimension_field = "intrinsic_dimension";

/// A fresh method with the options of `chosen` and this dimension.
ChosenMethod subspace_method(const ChosenMethod& chosen, int64_t dimension) {
  ChosenMethod fresh = choose_method(chosen.info->name);
  std::vector<Field> fields = fresh.method->fields();
  apply(fields, resolved(chosen.method->fields()), chosen.info->name);
  find_field(fields, dimension_field)->set(dimension);
  return fresh;
}

/// The smallest dimension from `from` on that the method accepts; it may need a minimum of its own. Errors:
/// those of planning with `to`.
int64_t first_dimension(const ChosenMethod& chosen, const ModelSpec& spec, int64_t from, int64_t to) {
  const auto plan = [&](int64_t dimension) {
    ChosenMethod fresh = subspace_method(chosen, dimension);
    plan_adapter(*fresh.info, std::move(fresh.method), spec);
  };
  plan(to);
  const auto fits = [&](int64_t dimension) {
    try {
      plan(dimension);
    } catch (const Error&) {
      return false;
    }
    return true;
  };
  if (fits(from)) return from;
  int64_t low = from;
  int64_t high = to;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (fits(middle) ? high : low) = middle;
  }
  return high;
}

/// The runs of one question.
class Runs {
 public:
  Runs(const DimensionQuestion& question, const WeightDimensionOptions& options,
       std::shared_ptr<const Checkpoint> checkpoint, TrainingData data)
      : train_(options.train), base_(question.session, std::move(checkpoint)), data_(std::move(data)) {}

  /// An initialised adapter; loads the model that it acts on if needed.
  Adapter prepare(ChosenMethod chosen) {
    return base_.prepare(std::move(chosen), static_cast<uint64_t>(train_.seed));
  }

  Evaluation at_start(Adapter& adapter) const {
    return evaluate_at_start(base_.model(), adapter, data_.evaluation.examples, train_);
  }

  MeasuredRun run(Adapter& adapter, std::optional<double> learning_rate) const {
    TrainOptions train = train_;
    train.lr = learning_rate;
    ExampleSource source(data_.examples, train, layout_of(train, base_.model().spec(), adapter));
    const int64_t total = plan_run(train, source).total_steps;
    Progress progress("step", total);
    return measured_run(base_.model(), adapter, data_.examples, data_.evaluation.examples, train,
                        [&](const StepResult& step, int64_t) {
                          progress.update(step.step,
                                          {step.loss, static_cast<double>(step.tokens) / step.seconds,
                                           std::nullopt, std::nullopt});
                        });
  }

 private:
  TrainOptions train_;
  LoadedBase base_;
  TrainingData data_;
};

/// Quality, computed from evaluations.
struct QualityMeasure {
  std::string name;
  double base_loss = 0, reference_loss = 0;

  double operator()(const Evaluation& found) const {
    if (found.accuracy) return *found.accuracy;
    if (found.correlation) return *found.correlation;
    return (base_loss - found.loss) / (base_loss - reference_loss);
  }
};

QualityMeasure measure_of(const Evaluation& base, const Evaluation& reference, const std::string& name) {
  const bool labelled = base.accuracy || base.correlation;
  check(labelled || reference.loss < base.loss, ErrorKind::invalid,
        "{} does not improve on the base (loss {:.4f} against {:.4f}), so that no share of it is a goal; "
        "other `steps` or `full_lr` may",
        name, reference.loss, base.loss);
  return {base.accuracy      ? "accuracy"
          : base.correlation ? "correlation"
                             : "share of the loss reduction",
          base.loss, reference.loss};
}

/// Trains the reference and fills in what the search is measured against.
QualityMeasure run_reference(Runs& runs, ChosenMethod chosen, std::optional<double> learning_rate,
                             DimensionReport& report) {
  Adapter adapter = runs.prepare(std::move(chosen));
  check(adapter.method->starts_from_base(), ErrorKind::unsupported,
        "`reference` {}: it does not start from the base, which the search is measured against",
        report.reference_name);
  const Evaluation base = runs.at_start(adapter);
  info("base: {}", base.summary());
  const MeasuredRun run = runs.run(adapter, learning_rate);
  info("{}: {}, {:.1f} s", report.reference_name, run.evaluation.summary(), run.seconds);
  QualityMeasure quality = measure_of(base, run.evaluation, report.reference_name);
  report.quality_name = quality.name;
  report.base = {0, 0, quality(base), base.loss, 0};
  report.reference = {0, parameter_count(adapter.plan), quality(run.evaluation), run.evaluation.loss,
                      run.seconds};
  check_reference(report, "other `steps` or `full_lr` may");
  return quality;
}

}  // namespace

std::vector<Field> WeightDimensionOptions::fields() {
  std::vector<Field> fields = {
      field("method", method, "the method that trains in a subspace, whose dimension is searched for"),
      field("reference", reference, "the method whose quality sets the goal"),
      limited(field("full_lr", reference_lr, "peak learning rate of the reference; by default its own"),
              1e-12, 1e3)};
  for (Field& option : train.fields()) {
    // A run is evaluated once, at its end, and leaves no files.
    static const std::set<std::string> unused = {"eval_every", "save_every", "log_every",
                                                 "early_stop", "report_to",  "memory_limit"};
    if (!unused.contains(option.name)) fields.push_back(std::move(option));
  }
  return fields;
}

std::vector<Field> subspace_fields(const ChosenMethod& chosen) {
  std::vector<Field> fields = chosen.method->fields();
  if (!find_field(fields, dimension_field)) {
    std::vector<std::string_view> fitting;
    for (const MethodInfo* info : methods()) {
      if (find_field(info->make()->fields(), dimension_field)) fitting.push_back(info->name);
    }
    fail(ErrorKind::invalid, "`method` {}: it has no intrinsic dimension to search for; {} have one",
         chosen.info->name, fmt::join(fitting, ", "));
  }
  std::erase_if(fields, [](const Field& option) { return option.name == dimension_field; });
  return fields;
}

DimensionReport weight_dimension(const DimensionQuestion& question, const WeightDimensionOptions& options,
                                 const ChosenMethod& chosen, nlohmann::ordered_json settings) {
  const std::optional<LabelSet> labels = choose_labels(question.task, question.session.model, "",
                                                       question.rows.patterns(), question.rows.dataset);
  const auto checkpoint = open_model(question.session, labels);
  const ModelSpec& spec = checkpoint->spec();
  ChosenMethod reference = choose_method(options.reference);
  const Adapter planned = plan_adapter(*reference.info, choose_method(options.reference).method, spec);
  const int64_t to = question.to.value_or(std::max<int64_t>(200, parameter_count(planned.plan) / 10));
  const int64_t from = first_dimension(chosen, spec, std::min(question.from.value_or(100), to), to);
  TrainingDataOptions rows = question.rows;
  rows.dataset.labels = spec.labels;
  const auto seed = static_cast<uint64_t>(options.train.seed);
  Runs runs(question, options, checkpoint,
            load_training_data(rows, question.session.model, "", spec, planned.plan.context_rows, seed));

  DimensionReport report;
  report.title =
      fmt::format("Dimensions of the weights of {} ({})",
                  std::filesystem::path(question.session.model).filename().string(), chosen.info->name);
  report.dimension_name = std::string("d");
  report.reference_name = std::string(reference.info->name);
  report.settings = std::move(settings);
  report.share = question.share;
  const QualityMeasure quality = run_reference(runs, std::move(reference), options.reference_lr, report);
  search_dimensions(
      report, {from, to, question.precision, 4, false},
      [&](int64_t dimension) {
        Adapter adapter = runs.prepare(subspace_method(chosen, dimension));
        const MeasuredRun run = runs.run(adapter, options.train.lr);
        return DimensionPoint{dimension, parameter_count(adapter.plan), quality(run.evaluation),
                              run.evaluation.loss, run.seconds};
      },
      question.output);
  return report;
}

}  // namespace lowrank
