#include "infer/encode.h"

#include <functional>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>

#include "base/error.h"
#include "base/finite.h"
#include "base/interrupt.h"
#include "model/embeddings/text_vectors.h"

namespace lowrank {
namespace {

Batch batch_of(std::span<const std::vector<int64_t>> texts, int64_t first_text, int64_t max_positions) {
  Batch batch;
  batch.offsets.push_back(0);
  for (const std::vector<int64_t>& text : texts) {
    const int64_t number = first_text + batch.sequences();
    check(!text.empty() && std::ssize(text) <= max_positions, ErrorKind::invalid,
          "text {} has {} tokens, the model's context {}", number + 1, text.size(), max_positions);
    for (size_t i = 0; i < text.size(); ++i) batch.positions.push_back(static_cast<int64_t>(i));
    batch.tokens.insert(batch.tokens.end(), text.begin(), text.end());
    batch.offsets.push_back(batch.token_count());
    batch.examples.push_back(number);
  }
  return batch;
}

/// `results`: [texts, values], of the texts from `first_text` on.
void check_finite(const at::Tensor& results, size_t first_text) {
  const std::span<const float> values(results.const_data_ptr<float>(), static_cast<size_t>(results.numel()));
  const std::optional<size_t> bad = first_not_finite(values);
  if (!bad) return;
  fail(ErrorKind::invalid, "text {}: value {} of what the model gives is {}",
       first_text + *bad / results.size(1) + 1, *bad % results.size(1), values[*bad]);
}

at::Tensor over_texts(const Model& model, const InferenceHooks& hooks,
                      std::span<const std::vector<int64_t>> texts, int64_t batch_size,
                      std::span<const int64_t> type_one,
                      const std::function<at::Tensor(const Context&)>& compute) {
  const at::NoGradGuard no_grad;
  check(!texts.empty(), ErrorKind::invalid, "there are no texts");
  std::vector<at::Tensor> results;
  for (size_t begin = 0; begin < texts.size(); begin += batch_size) {
    throw_if_interrupted();
    const size_t count = std::min<size_t>(batch_size, texts.size() - begin);
    Batch batch =
        batch_of(texts.subspan(begin, count), static_cast<int64_t>(begin), model.spec().max_positions);
    if (!type_one.empty()) {
      const std::span<const int64_t> own = type_one.subspan(begin, count);
      batch.type_one_tokens.assign(own.begin(), own.end());
    }
    hooks->layout(batch);
    const at::Tensor result = compute({&batch}).to(at::kFloat).cpu().contiguous();
    check_finite(result, begin);
    results.push_back(result);
  }
  return at::cat(results);
}

}  // namespace

at::Tensor score_texts(const Model& model, const InferenceHooks& hooks,
                       std::span<const std::vector<int64_t>> texts, int64_t batch_size,
                       std::span<const int64_t> type_one) {
  return over_texts(model, hooks, texts, batch_size, type_one,
                    [&](const Context& context) { return sequence_scores(model, context, *hooks); });
}

at::Tensor embed_texts(const Model& model, const InferenceHooks& hooks,
                       std::span<const std::vector<int64_t>> texts, int64_t batch_size,
                       const EmbeddingForm& form, std::span<const int64_t> type_one) {
  return over_texts(model, hooks, texts, batch_size, type_one,
                    [&](const Context& context) { return text_vectors(model, context, *hooks, form); });
}

}  // namespace lowrank
