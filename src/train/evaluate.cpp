#include "train/evaluate.h"

#include <algorithm>
#include <array>
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
  double right = 0, found = 0, wanted = 0;  ///< classes of examples that may have several
};

/// What the passes over the examples find. Where ranks share them out, each has zeros in place of what it has
/// not computed, so that sums are exact.
struct Scores {
  explicit Scores(size_t examples) : losses(examples), targets(examples) {
    agreement.predicted.resize(examples);
    agreement.labels.resize(examples);
  }

  std::vector<double> losses, targets;  ///< of each example: sum over its targets, and their number
  Agreement agreement;
  ExpertLoads loads;
};

/// The harmonic mean of precision and recall over all classes, 2 right / (found + wanted); 1 if nothing is
/// found or wanted.
double f1_of(const Agreement& agreement) {
  const double all = agreement.found + agreement.wanted;
  return all == 0 ? 1 : 2 * agreement.right / all;
}

/// Compares the classes with a score above 0 with those that each example has; an example counts as right
/// if they are the same.
void add_classes(const at::Tensor& scores, const Batch& batch, Agreement& agreement) {
  for (int64_t s = 0; s < scores.size(0); ++s) {
    std::vector<int64_t> predicted;
    const at::Tensor row = scores[s].to(at::kDouble).cpu().contiguous();
    for (int64_t c = 0; c < row.size(0); ++c) {
      if (row.const_data_ptr<double>()[c] > 0) predicted.push_back(c);
    }
    const std::vector<int64_t>& truth = batch.targets.classes[s];
    std::vector<int64_t> both;
    std::ranges::set_intersection(predicted, truth, std::back_inserter(both));
    agreement.right += static_cast<double>(both.size());
    agreement.found += static_cast<double>(predicted.size());
    agreement.wanted += static_cast<double>(truth.size());
    agreement.predicted[batch.examples[s]] = predicted == truth ? 1 : 0;
    agreement.labels[batch.examples[s]] = 1;
  }
}

TargetLoss labelled(const Model& model, const Context& context, const Hooks& hooks, Agreement& agreement) {
  const at::Tensor scores = sequence_scores(model, context, hooks);
  if (model.spec().labels->several) {
    add_classes(scores, *context.batch, agreement);
    return label_loss(model.spec(), scores, context.batch->targets);
  }
  const bool classes = model.spec().task == Task::classification;
  const at::Tensor predicted =
      (classes ? scores.argmax(1) : scores.squeeze(1)).to(at::kDouble).cpu().contiguous();
  for (int64_t s = 0; s < predicted.numel(); ++s) {
    agreement.predicted[context.batch->examples[s]] = predicted.const_data_ptr<double>()[s];
    agreement.labels[context.batch->examples[s]] = context.batch->targets.values[s];
  }
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

/// The losses of some examples, as one batch.
void score(const Model& model, const Hooks& hooks, const ExampleStore& examples,
           std::span<const int64_t> indices, Scores& scores) {
  const at::NoGradGuard no_grad;
  // If frequencies depend on a text's length, keep all of its rows, however many virtual rows are added.
  constexpr int64_t any = std::numeric_limits<int64_t>::max();
  const int64_t most = model.spec().fixed_positions == any ? any : 0;
  const std::vector<Example> part = examples.at(indices);
  std::vector<int64_t> all(part.size());
  std::iota(all.begin(), all.end(), 0);
  Batch batch = model.spec().labels ? make_batch(part, all) : make_training_batch(part, all, false, most);
  renumber(batch, indices);
  for (const Example& example : part) batch.adapters.push_back(example.adapter);
  hooks.layout(batch);
  Context context{&batch};
  context.loads = &scores.loads;
  const at::Tensor nll = (model.spec().labels ? labelled(model, context, hooks, scores.agreement)
                                              : batch_loss(model, context, hooks))
                             .nll.to(at::kDouble)
                             .cpu()
                             .contiguous();
  const double* next = nll.const_data_ptr<double>();
  const std::vector<int64_t> counts = targets_of_sequences(batch);
  for (size_t s = 0; s < indices.size(); ++s) {
    const double row = std::accumulate(next, next + counts[s], 0.0);
    const int64_t example = batch.examples[s];
    check(std::isfinite(row), ErrorKind::invalid, "the loss of the row at line {} is {}",
          examples.line(example), row);
    next += counts[s];
    scores.losses[example] = row;
    scores.targets[example] = static_cast<double>(counts[s]);
  }
}

/// Layers without a token on any rank have no experts.
void sum_over_ranks(const RankGroup& ranks, ExpertLoads& loads) {
  int64_t layers = 0, experts = 0;
  for (const auto& [layer, tokens] : loads.tokens) {
    layers = std::max<int64_t>(layers, layer + 1);
    experts = std::max(experts, std::ssize(tokens));
  }
  layers = ranks.largest(layers);
  if (layers == 0) return;
  experts = ranks.largest(experts);
  std::vector<double> sums(layers * experts);
  for (const auto& [layer, tokens] : loads.tokens) std::ranges::copy(tokens, sums.begin() + layer * experts);
  ranks.sum(sums);
  for (int64_t layer = 0; layer < layers; ++layer) {
    const std::vector<int64_t> tokens(sums.begin() + layer * experts, sums.begin() + (layer + 1) * experts);
    if (std::ranges::any_of(tokens, [](int64_t one) { return one > 0; }))
      loads.tokens[static_cast<int>(layer)] = tokens;
  }
}

/// Errors: interrupted if one of the ranks was.
void sum_over_ranks(const RankGroup& ranks, bool stopped, Scores& scores) {
  check(ranks.largest(stopped ? 1 : 0) == 0, ErrorKind::interrupted, "Stopped.");
  for (std::vector<double>* one :
       {&scores.losses, &scores.targets, &scores.agreement.predicted, &scores.agreement.labels})
    ranks.sum(*one);
  std::array<double, 3> classes{scores.agreement.right, scores.agreement.found, scores.agreement.wanted};
  ranks.sum(classes);
  scores.agreement.right = classes[0];
  scores.agreement.found = classes[1];
  scores.agreement.wanted = classes[2];
  sum_over_ranks(ranks, scores.loads);
}

Evaluation evaluation_of(const ModelSpec& spec, const Scores& scores) {
  Evaluation result;
  double sum = 0;
  for (size_t row = 0; row < scores.losses.size(); ++row) {
    sum += scores.losses[row];
    result.target_tokens += static_cast<int64_t>(scores.targets[row]);
    result.rows.push_back(scores.losses[row] / std::max(1.0, scores.targets[row]));
  }
  result.loss = sum / static_cast<double>(std::max<int64_t>(1, result.target_tokens));
  result.experts = balance_of(scores.loads);
  const Agreement& agreement = scores.agreement;
  if (spec.task == Task::classification)
    result.accuracy = metrics::accuracy(agreement.predicted, agreement.labels);
  if (spec.labels && spec.labels->several) result.f1 = f1_of(agreement);
  if (spec.task == Task::regression) result.correlation = correlation(agreement.predicted, agreement.labels);
  return result;
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
                    int64_t batch_size, const ContrastiveRun& run, const std::optional<RankGroup>& ranks) {
  Evaluation result;
  result.embeddings = evaluate_embeddings(model, *hooks, examples, batch_size, run, ranks);
  result.rows = result.embeddings->rows;
  result.loss = std::accumulate(result.rows.begin(), result.rows.end(), 0.0) /
                static_cast<double>(std::max<size_t>(1, result.rows.size()));
  return result;
}

Evaluation evaluate(const Model& model, const InferenceHooks& ready, const ExampleStore& examples,
                    int64_t batch_size, const std::optional<RankGroup>& ranks) {
  const auto count = static_cast<int64_t>(examples.size());
  Scores scores(examples.size());
  bool stopped = false;
  for (int64_t batch = ranks ? ranks->rank() : 0; batch * batch_size < count;
       batch += ranks ? ranks->size() : 1) {
    if (!ranks) throw_if_interrupted();
    // The others would wait for this rank.
    if (ranks && (stopped = interrupted())) break;
    std::vector<int64_t> indices(std::min(batch_size, count - batch * batch_size));
    std::iota(indices.begin(), indices.end(), batch * batch_size);
    score(model, *ready, examples, indices, scores);
  }
  if (ranks) sum_over_ranks(*ranks, stopped, scores);
  return evaluation_of(model.spec(), scores);
}

}  // namespace lowrank
