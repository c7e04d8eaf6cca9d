#include "study/input_dimension.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/process.h"
#include "base/rng.h"
#include "infer/encode.h"
#include "kernels/losses/label_loss.h"
#include "metrics/classification.h"
#include "session/task.h"
#include "study/random_projection.h"
#include "train/correlation.h"

namespace lowrank {
namespace {

/// Stream of the run's seed for the projections.
constexpr uint64_t projection_stream = 6;

/// Features of texts [N, d], with their labels f32 [N].
struct LabelledFeatures {
  at::Tensor rows, labels;
};

/// A head's result on the evaluation rows.
struct HeadResult {
  double quality = 0, loss = 0;
};

LabelledFeatures features_of(const Model& model, const Dataset& dataset, const EmbeddingForm& form,
                             int64_t batch_size) {
  std::vector<std::vector<int64_t>> texts;
  std::vector<double> labels;
  for (const Example& example : dataset.examples) {
    texts.push_back(example.tokens);
    labels.push_back(*example.label);
  }
  return {embed_texts(model, InferenceHooks(), texts, batch_size, form), at::tensor(labels, at::kFloat)};
}

std::vector<double> doubles(const at::Tensor& values) {
  const at::Tensor copy = values.to(at::kDouble).contiguous();
  const auto* first = copy.const_data_ptr<double>();
  return {first, first + copy.numel()};
}

/// The experiment on two sets of features.
struct Experiment {
  LabelSet labels;
  LinearHeadOptions head;
  LabelledFeatures train, evaluation;

  HeadResult judged(const at::Tensor& scores) const {
    const at::Tensor ones = at::ones_like(evaluation.labels);
    const auto count = static_cast<double>(scores.size(0));
    const std::vector<double> truth = doubles(evaluation.labels);
    if (!labels.has_classes()) {
      return {correlation(doubles(scores.squeeze(1)), truth),
              value_loss(scores, evaluation.labels, ones).loss.item<double>() / count};
    }
    return {metrics::accuracy(doubles(scores.argmax(1)), truth),
            class_loss(scores, evaluation.labels.to(at::kLong), ones).loss.item<double>() / count};
  }

  /// Trains a head on the training rows times `projection` (undefined: unprojected) and evaluates it.
  HeadResult run(const at::Tensor& projection) const {
    const auto projected = [&](const at::Tensor& rows) {
      return projection.defined() ? at::mm(rows, projection) : rows;
    };
    const at::Tensor rows = projected(train.rows);
    const LinearHead fitted = labels.has_classes()
                                  ? fit_classes(rows, train.labels.to(at::kLong), labels.outputs(), head)
                                  : fit_values(rows, train.labels, head.penalty);
    return judged(fitted.scores(projected(evaluation.rows)));
  }

  /// A head that ignores the features: class frequencies, or the mean value.
  HeadResult without_features() const {
    const int64_t rows = evaluation.labels.size(0);
    if (!labels.has_classes()) return judged(train.labels.mean().expand({rows, 1}));
    const at::Tensor counts = at::bincount(train.labels.to(at::kLong), {}, labels.outputs());
    const at::Tensor shares =
        (counts.to(at::kFloat) / static_cast<double>(train.labels.size(0))).clamp_min(1e-6);
    return judged(shares.log().unsqueeze(0).expand({rows, labels.outputs()}));
  }
};

Experiment experiment_of(const DimensionQuestion& question, const InputDimensionOptions& options) {
  const bool decoder = read_spec(question.session.model).task == Task::causal_lm;
  const std::vector<std::string> data = question.rows.patterns();
  for (const WeightedData& one : weighted_data(question.rows.data)) {
    check(one.weight == 1, ErrorKind::invalid,
          "`data` {}: weights are for training in steps, and a head sees all rows at once", one.pattern);
  }
  const LabelSet labels =
      decoder ? read_labels(data, question.rows.dataset.columns, labelling_of(question.task))
              : *choose_labels(question.task, question.session.model, "", data, question.rows.dataset);
  check(!labels.several, ErrorKind::unsupported,
        "the dimension of texts with lists of labels is not measured; give rows with one label each");
  const auto checkpoint = open_model(question.session);
  TrainingDataOptions rows = question.rows;
  rows.dataset.labels = labels;
  const TrainingData texts = load_training_data(rows, question.session.model, "", checkpoint->spec(), 0,
                                                static_cast<uint64_t>(options.seed));
  const std::unique_ptr<Model> model = load_model(checkpoint, question.session, nullptr, false);
  const EmbeddingForm form = embedding_form(question.session.model, checkpoint->spec());
  Experiment experiment{labels, options.head, features_of(*model, texts.train, form, options.batch_size),
                        features_of(*model, texts.evaluation, form, options.batch_size)};
  const CommonScale scale = common_scale(experiment.train.rows);
  experiment.train.rows = scale(experiment.train.rows);
  experiment.evaluation.rows = scale(experiment.evaluation.rows);
  return experiment;
}

/// The mean over several projections to k columns.
HeadResult mean_result(const Experiment& experiment, const InputDimensionOptions& options, int64_t k) {
  HeadResult mean;
  const auto draws = static_cast<double>(options.draws);
  const uint64_t seed = derive_seed(static_cast<uint64_t>(options.seed), projection_stream);
  for (int64_t draw = 0; draw < options.draws; ++draw) {
    throw_if_interrupted();
    const HeadResult result = experiment.run(random_projection(
        experiment.train.rows.size(1), k, derive_seed(seed, static_cast<uint64_t>(draw), k)));
    mean.quality += result.quality / draws;
    mean.loss += result.loss / draws;
  }
  return mean;
}

}  // namespace

std::vector<Field> InputDimensionOptions::fields() {
  constexpr double most = 1e9;
  return {limited(field("draws", draws, "random projections to each dimension, whose mean counts"), 1, 1000),
          limited(field("penalty", head.penalty, "factor of the square of the head's weights in its loss"),
                  1e-9, most),
          limited(field("head_steps", head.steps, "steps of a head for classes, over all rows"), 1, most),
          limited(field("lr", head.learning_rate, "peak learning rate of such a head"), 1e-12, 1e3),
          limited(field("batch_size", batch_size, "texts computed together"), 1, 1 << 16),
          limited(field("seed", seed, "of the projections and the split"), 0, most)};
}

DimensionReport input_dimension(const DimensionQuestion& question, const InputDimensionOptions& options,
                                nlohmann::ordered_json settings) {
  const Experiment experiment = experiment_of(question, options);
  const int64_t features = experiment.train.rows.size(1);
  const int64_t outputs = experiment.labels.outputs();
  DimensionReport report;
  report.title = fmt::format("Dimensions of the features of {}",
                             std::filesystem::path(question.session.model).filename().string());
  report.dimension_name = std::string("k");
  report.quality_name = experiment.labels.has_classes() ? "accuracy" : "correlation";
  report.reference_name = fmt::format("all {} features", features);
  report.settings = std::move(settings);
  report.share = question.share;
  const HeadResult none = experiment.without_features();
  report.base = {0, outputs, none.quality, none.loss, 0};
  const auto timed = [&](int64_t k, const auto& compute) {
    const double started = monotonic_seconds();
    const HeadResult found = compute();
    return DimensionPoint{k, (k + 1) * outputs, found.quality, found.loss, monotonic_seconds() - started};
  };
  report.reference = timed(features, [&] { return experiment.run({}); });
  info("{}: {} {:.4f}, loss {:.4f}", report.reference_name, report.quality_name, report.reference.quality,
       report.reference.loss);
  check_reference(report, "another `penalty` or more rows may");
  const DimensionRange range{std::min(question.from.value_or(1), features),
                             std::min(question.to.value_or(features), features), question.precision, 2, true};
  search_dimensions(
      report, range, [&](int64_t k) { return timed(k, [&] { return mean_result(experiment, options, k); }); },
      question.output);
  return report;
}

}  // namespace lowrank
