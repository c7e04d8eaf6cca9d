#include "session/merge_check.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>

#include "base/error.h"
#include "base/rng.h"
#include "data/dataset.h"
#include "data/training_batch.h"
#include "infer/sampler.h"
#include "session/chat_options.h"
#include "session/session.h"
#include "train/evaluate.h"

namespace lowrank {
namespace {

constexpr int64_t sampled_rows = 4;
constexpr int64_t sampled_tokens = 32;
constexpr int64_t batch_size = 8;

struct Probe {
  std::string name;
  ExampleStore rows;
};

OpenSession open_in_f32(const std::string& model, const std::string& adapter) {
  SessionOptions options;
  options.model = model;
  options.dtype = "f32";
  return open_session(options, adapter);
}

constexpr int64_t random_tokens = 64;

/// One sequence of ids drawn from the whole vocabulary.
Batch random_ids(const ModelSpec& spec, int64_t length) {
  Batch batch;
  Philox random(0);
  batch.offsets = {0, std::min(length, spec.max_positions)};
  for (int64_t i = 0; i < batch.offsets.back(); ++i) {
    batch.tokens.push_back(static_cast<int64_t>(random.below(static_cast<uint64_t>(spec.vocabulary_size))));
    batch.positions.push_back(i);
  }
  batch.examples = {0};
  return batch;
}

at::Tensor logits_of(const Model& model, const InferenceHooks& hooks, int64_t length) {
  const at::NoGradGuard no_grad;
  const ModelSpec& spec = model.spec();
  Batch batch = random_ids(spec, length);
  hooks->layout(batch);
  if (spec.labels) return sequence_scores(model, {&batch}, *hooks).cpu();
  if (spec.task == Task::embedding) return sequence_embeddings(model, {&batch}, *hooks, Pooling::mean).cpu();
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < batch.token_count(); ++row) rows.push_back(row);
  return batch_logits(model, {&batch}, *hooks, rows, nullptr).cpu();
}

at::Tensor logits_of(const OpenSession& session, int64_t length = random_tokens) {
  return logits_of(*session.model, session.hooks(), length);
}

/// The ids that texts begin with: the tokenizer's prefix, else its end-of-text token.
std::vector<int64_t> start_of_text(const std::string& model) {
  const std::optional<Tokenizer> tokenizer = find_tokenizer(model);
  if (!tokenizer) return {0};
  if (!tokenizer->spec().prefix.empty()) return tokenizer->spec().prefix;
  return {tokenizer->spec().eos.value_or(0)};
}

/// Texts sampled from the model with a fixed seed. The `start` tokens are not targets.
std::vector<Example> sampled_texts(const OpenSession& session, const std::vector<int64_t>& start) {
  const at::NoGradGuard no_grad;
  const int64_t length = std::min<int64_t>(std::ssize(start) + sampled_tokens, session.room());
  std::vector<Example> texts(sampled_rows);
  std::vector<Philox> randoms;
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < sampled_rows; ++i) {
    texts[i].tokens = start;
    randoms.emplace_back(uint64_t{0}, static_cast<uint64_t>(i));
    indices.push_back(i);
  }
  SamplingOptions options;
  options.temperature = 1;
  while (std::ssize(texts.front().tokens) < length) {
    for (Example& text : texts) text.labels.assign(text.tokens.size(), no_target);
    Batch batch = make_batch(texts, indices);
    session.hooks()->layout(batch);
    std::vector<int64_t> last;
    for (int64_t s = 0; s < batch.sequences(); ++s) last.push_back(batch.offsets[s + 1] - 1);
    const at::Tensor logits =
        batch_logits(*session.model, {&batch}, *session.hooks(), last, nullptr).cpu().contiguous();
    for (int64_t i = 0; i < sampled_rows; ++i) {
      const std::span<float> row(logits.mutable_data_ptr<float>() + i * logits.size(1), logits.size(1));
      texts[i].tokens.push_back(sample(row, texts[i].tokens, options, randoms[i]));
    }
  }
  for (Example& text : texts) {
    text.labels = text.tokens;
    std::fill_n(text.labels.begin(), start.size(), no_target);
  }
  return texts;
}

/// The examples to compare the losses on; nullopt without --probe-data for encoders, or if the context has no
/// room.
std::optional<Probe> probe_of(const MergeCheckOptions& options, const OpenSession& adapted) {
  const ModelSpec& spec = adapted.checkpoint->spec();
  if (!options.probe_data.empty()) {
    DatasetOptions reading;
    reading.format = options.format;
    reading.columns = options.columns;
    reading.labels = spec.labels;
    reading.max_length = adapted.room();
    const std::optional<Tokenizer> tokenizer = find_tokenizer(options.model);
    if (tokenizer) reading.chat = chat_format_on_demand(options.model, adapted.adapter_path, *tokenizer, {});
    Dataset rows =
        load_dataset(options.probe_data, tokenizer ? &*tokenizer : nullptr, spec.vocabulary_size, reading);
    return Probe{fmt::format("{} rows of {}", rows.examples.size(), options.probe_data),
                 std::move(rows.examples)};
  }
  if (spec.task != Task::causal_lm) return std::nullopt;
  const std::vector<int64_t> start = start_of_text(options.model);
  if (std::ssize(start) >= adapted.room()) return std::nullopt;
  return Probe{fmt::format("{} texts that the adapted model samples", sampled_rows),
               sampled_texts(adapted, start)};
}

double loss_of(const OpenSession& session, const Probe& probe) {
  return evaluate(*session.model, session.hooks(), probe.rows, batch_size).loss;
}

double root_mean_square(const at::Tensor& values) {
  const at::Tensor wide = values.to(at::kDouble);
  return std::sqrt((wide * wide).mean().item<double>());
}

ModelDifference difference_of(const at::Tensor& found, const at::Tensor& expected) {
  const at::Tensor difference = found - expected;
  return {at::max(at::abs(difference)).item<double>(), root_mean_square(difference),
          root_mean_square(expected)};
}

}  // namespace

std::optional<double> ProbeLosses::gain_left() const {
  constexpr double least = 1e-3;
  if (!base || std::abs(*base - adapter) < least) return std::nullopt;
  return (*base - merged) / (*base - adapter);
}

bool MergeComparison::holds() const {
  constexpr double rounding = 0.05;
  return std::isfinite(largest_difference) && distance <= effect + rounding * scale;
}

double ModelDifference::share() const {
  return distance / size;
}

ModelDifference compare_adapted(const AdaptedModel& first, const AdaptedModel& second) {
  const int64_t length = std::min(random_tokens, read_spec(second.model).max_positions);
  const at::Tensor expected = logits_of(open_in_f32(first.model, first.adapter), length);
  const at::Tensor found = logits_of(open_in_f32(second.model, second.adapter), length);
  check(expected.sizes() == found.sizes(), ErrorKind::invalid,
        "{} and {} have different vocabularies, so their logits cannot be compared", first.model,
        second.model);
  return difference_of(found, expected);
}

ModelDifference compare_adapters(const Model& model, const Adapter& first, const Adapter* second) {
  const at::Tensor expected = logits_of(model, InferenceHooks(first), random_tokens);
  const InferenceHooks hooks = second ? InferenceHooks(*second) : InferenceHooks();
  return difference_of(logits_of(model, hooks, random_tokens), expected);
}

ModelDifference compare_models(const std::string& first, const std::string& second) {
  return compare_adapted({first, ""}, {second, ""});
}

MergeComparison compare_merged(const MergeCheckOptions& options) {
  MergeComparison result;
  at::Tensor adapted, base;
  std::optional<Probe> probe;
  {
    const OpenSession session = open_in_f32(options.model, options.adapter);
    adapted = logits_of(session);
    probe = probe_of(options, session);
    if (probe) result.losses = ProbeLosses{.rows = probe->name, .adapter = loss_of(session, *probe)};
  }
  {
    const OpenSession session = open_in_f32(options.model, "");
    base = logits_of(session);
    const bool comparable = base.sizes() == adapted.sizes();
    result.effect = comparable ? root_mean_square(base - adapted) : root_mean_square(adapted);
    if (probe && comparable) result.losses->base = loss_of(session, *probe);
  }
  const OpenSession session = open_in_f32(options.merged, "");
  const at::Tensor difference = logits_of(session) - adapted;
  result.largest_difference = at::max(at::abs(difference)).item<double>();
  result.distance = root_mean_square(difference);
  result.scale = at::max(at::abs(adapted)).item<double>();
  if (probe) result.losses->merged = loss_of(session, *probe);
  return result;
}

}  // namespace lowrank
