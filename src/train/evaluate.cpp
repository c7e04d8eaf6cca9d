#include "train/evaluate.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>

#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "data/batch_parts.h"
#include "data/training_batch.h"
#include "metrics/classification.h"
#include "train/correlation.h"

namespace lowrank {
namespace {

/// A label head's prediction for each example, and the example's label.
struct Agreement {
  std::vector<double> predicted, labels;
  int64_t right = 0, found = 0, wanted = 0;  ///< classes of examples that may have several
};

/// The harmonic mean of precision and recall over all classes, 2 right / (found + wanted); 1 if nothing is
/// found or wanted.
double f1_of(const Agreement& agreement) {
  const int64_t all = agreement.found + agreement.wanted;
  return all == 0 ? 1 : 2.0 * static_cast<double>(agreement.right) / static_cast<double>(all);
}

/// Compares the classes with a score above 0 with those that each example has; an example counts as right
/// if they are the same.
void add_classes(const at::Tensor& scores, const Targets& targets, Agreement& agreement) {
  for (int64_t s = 0; s < scores.size(0); ++s) {
    std::vector<int64_t> predicted;
    const at::Tensor row = scores[s].to(at::kDouble).contiguous();
    for (int64_t c = 0; c < row.size(0); ++c) {
      if (row.const_data_ptr<double>()[c] > 0) predicted.push_back(c);
    }
    const std::vector<int64_t>& truth = targets.classes[s];
    std::vector<int64_t> both;
    std::ranges::set_intersection(predicted, truth, std::back_inserter(both));
    agreement.right += std::ssize(both);
    agreement.found += std::ssize(predicted);
    agreement.wanted += std::ssize(truth);
    agreement.predicted.push_back(predicted == truth ? 1 : 0);
    agreement.labels.push_back(1);
  }
}

TargetLoss labelled(const Model& model, const Context& context, const Hooks& hooks, Agreement& agreement) {
  const at::Tensor scores = sequence_scores(model, context, hooks);
  if (model.spec().labels->several) {
    add_classes(scores, context.batch->targets, agreement);
    return label_loss(model.spec(), scores, context.batch->targets);
  }
  const bool classes = model.spec().task == Task::classification;
  const at::Tensor predicted = (classes ? scores.argmax(1) : scores.squeeze(1)).to(at::kDouble).contiguous();
  const auto* values = predicted.const_data_ptr<double>();
  agreement.predicted.insert(agreement.predicted.end(), values, values + predicted.numel());
  const std::vector<float>& labels = context.batch->targets.values;
  agreement.labels.insert(agreement.labels.end(), labels.begin(), labels.end());
  return label_loss(model.spec(), scores, context.batch->targets);
}

/// Number of targets per sequence, including any that a method's layout added; targets are in the sequences'
/// order.
std::vector<int64_t> targets_of_sequences(const Batch& batch) {
  if (!batch.targets.values.empty()) return std::vector<int64_t>(batch.sequences(), 1);
  std::vector<int64_t> counts(batch.sequences());
  size_t next = 0;
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    for (; next < batch.targets.rows.size() && batch.targets.rows[next] < batch.offsets[s + 1]; ++next)
      ++counts[s];
  }
  return counts;
}

}  // namespace

double Evaluation::perplexity() const {
  return std::exp(loss);
}

nlohmann::ordered_json Evaluation::figures() const {
  if (embeddings && embeddings->accuracy)
    return {{"loss", loss}, {"cosine_accuracy@1", *embeddings->accuracy}};
  if (embeddings) return {{"loss", loss}, {"spearman_cosine", embeddings->correlation.value_or(0)}};
  if (f1) return {{"loss", loss}, {"accuracy", *accuracy}, {"f1", *f1}};
  if (accuracy) return {{"loss", loss}, {"accuracy", *accuracy}};
  if (correlation) return {{"loss", loss}, {"correlation", *correlation}};
  nlohmann::ordered_json figures = {{"loss", loss}};
  if (std::isfinite(perplexity())) figures["perplexity"] = perplexity();
  figures["target_tokens"] = target_tokens;
  if (experts) figures.update({{"busiest_expert", experts->busiest}, {"unused_experts", experts->unused}});
  return figures;
}

std::string Evaluation::summary() const {
  std::string text;
  const nlohmann::ordered_json named = figures();
  for (const auto& [name, value] : named.items()) {
    text +=
        fmt::format("{}{} {}", text.empty() ? "" : ", ", name,
                    value.is_number_integer() ? value.dump() : fmt::format("{:.4f}", value.get<double>()));
  }
  return text;
}

Evaluation evaluate(const Model& model, const InferenceHooks& hooks, const ExampleStore& examples,
                    int64_t batch_size, const ContrastiveRun& run) {
  Evaluation result;
  result.embeddings = evaluate_embeddings(model, *hooks, examples, batch_size, run);
  result.rows = result.embeddings->rows;
  result.loss = std::accumulate(result.rows.begin(), result.rows.end(), 0.0) /
                static_cast<double>(std::max<size_t>(1, result.rows.size()));
  return result;
}

Evaluation evaluate(const Model& model, const InferenceHooks& ready, const ExampleStore& examples,
                    int64_t batch_size) {
  const at::NoGradGuard no_grad;
  const Hooks& hooks = *ready;
  Evaluation result;
  result.rows.resize(examples.size());
  Agreement agreement;
  ExpertLoads loads;
  double sum = 0;
  // If frequencies depend on a text's length, keep all of its rows, however many virtual rows are added.
  constexpr int64_t any = std::numeric_limits<int64_t>::max();
  const int64_t most = model.spec().fixed_positions == any ? any : 0;
  for (int64_t begin = 0; begin < static_cast<int64_t>(examples.size()); begin += batch_size) {
    throw_if_interrupted();
    std::vector<int64_t> indices(std::min(batch_size, static_cast<int64_t>(examples.size()) - begin));
    std::iota(indices.begin(), indices.end(), begin);
    const std::vector<Example> part = examples.at(indices);
    std::vector<int64_t> all(part.size());
    std::iota(all.begin(), all.end(), 0);
    Batch batch = model.spec().labels ? make_batch(part, all) : make_training_batch(part, all, false, most);
    renumber(batch, indices);
    for (const Example& example : part) batch.adapters.push_back(example.adapter);
    hooks.layout(batch);
    Context context{&batch};
    context.loads = &loads;
    const at::Tensor nll =
        (model.spec().labels ? labelled(model, context, hooks, agreement) : batch_loss(model, context, hooks))
            .nll.to(at::kDouble)
            .contiguous();
    const double* next = nll.const_data_ptr<double>();
    const std::vector<int64_t> counts = targets_of_sequences(batch);
    for (size_t s = 0; s < indices.size(); ++s) {
      const int64_t targets = counts[s];
      const double row = std::accumulate(next, next + targets, 0.0);
      const int64_t example = batch.examples[s];
      check(std::isfinite(row), ErrorKind::invalid, "the loss of the row at line {} is {}",
            examples.line(example), row);
      next += targets;
      sum += row;
      result.target_tokens += targets;
      result.rows[example] = row / static_cast<double>(std::max<int64_t>(1, targets));
    }
  }
  result.loss = sum / static_cast<double>(std::max<int64_t>(1, result.target_tokens));
  result.experts = balance_of(loads);
  if (model.spec().task == Task::classification)
    result.accuracy = metrics::accuracy(agreement.predicted, agreement.labels);
  if (model.spec().labels && model.spec().labels->several) result.f1 = f1_of(agreement);
  if (model.spec().task == Task::regression)
    result.correlation = correlation(agreement.predicted, agreement.labels);
  return result;
}

}  // namespace lowrank
