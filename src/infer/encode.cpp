#include "infer/encode.h"

#include <functional>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>

#include "base/error.h"
#include "base/finite.h"
#include "base/interrupt.h"
#include "base/json.h"

namespace lowrank {
namespace {

constexpr int64_t max_config_bytes = 1 << 20;

Batch batch_of(std::span<const std::vector<int64_t>> texts, int64_t first_text, int64_t max_positions) {
  Batch batch;
  batch.offsets.push_back(0);
  for (const std::vector<int64_t>& text : texts) {
    const int64_t number = first_text + batch.sequences();
    check(!text.empty() && std::ssize(text) <= max_positions, ErrorKind::invalid,
          "text {} has {} tokens, the model's context {}", number + 1, text.size(), max_positions);
    for (size_t i = 0; i < text.size(); ++i) batch.positions.push_back(static_cast<int64_t>(i));
    batch.tokens.insert(batch.tokens.end(), text.begin(), text.end());
    batch.offsets.push_back(batch.rows());
    batch.examples.push_back(number);
  }
  return batch;
}

/// `results` [texts, values] of the texts from `first_text` on.
void check_finite(const at::Tensor& results, size_t first_text) {
  const std::span<const float> values(results.const_data_ptr<float>(), static_cast<size_t>(results.numel()));
  const std::optional<size_t> bad = first_not_finite(values);
  if (!bad) return;
  fail(ErrorKind::invalid, "text {}: value {} of what the model gives is {}",
       first_text + *bad / results.size(1) + 1, *bad % results.size(1), values[*bad]);
}

at::Tensor over_texts(const Model& model, const Hooks& hooks, std::span<const std::vector<int64_t>> texts,
                      int64_t batch_size, const std::function<at::Tensor(const Context&)>& compute) {
  const at::NoGradGuard no_grad;
  check(!texts.empty(), ErrorKind::invalid, "there are no texts");
  std::vector<at::Tensor> results;
  for (size_t begin = 0; begin < texts.size(); begin += batch_size) {
    throw_if_interrupted();
    const size_t count = std::min<size_t>(batch_size, texts.size() - begin);
    Batch batch =
        batch_of(texts.subspan(begin, count), static_cast<int64_t>(begin), model.spec().max_positions);
    hooks.layout(batch);
    const at::Tensor result = compute({&batch}).to(at::kFloat).contiguous();
    check_finite(result, begin);
    results.push_back(result);
  }
  return at::cat(results);
}

bool is_set(const nlohmann::json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_boolean() && found->get<bool>();
}

Pooling pooling_of(const std::filesystem::path& file) {
  const nlohmann::json config = read_json_file(file, max_config_bytes);
  const bool mean = is_set(config, "pooling_mode_mean_tokens");
  const bool first = is_set(config, "pooling_mode_cls_token");
  bool others = false;
  for (const char* mode : {"pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens",
                           "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"})
    others |= is_set(config, mode);
  check(mean != first && !others, ErrorKind::unsupported,
        "{}: of the poolings, the mean of the tokens or the first token alone is supported", file.string());
  return mean ? Pooling::mean : Pooling::first;
}

}  // namespace

EmbeddingForm embedding_form(const std::filesystem::path& model) {
  EmbeddingForm form;
  const std::filesystem::path modules = model / "modules.json";
  if (!std::filesystem::exists(modules)) return form;
  for (const nlohmann::json& module : read_json_file(modules, max_config_bytes)) {
    const std::string type = module.is_object() ? module.value("type", "") : "";
    const std::string kind = type.substr(type.rfind('.') + 1);
    if (kind == "Pooling") {
      form.pooling = pooling_of(model / module.value("path", "") / "config.json");
    } else if (kind == "Normalize") {
      form.normalised = true;
    } else {
      check(kind == "Transformer", ErrorKind::unsupported, "{}: the module '{}' is not supported",
            modules.string(), type.substr(0, 60));
    }
  }
  return form;
}

at::Tensor score_texts(const Model& model, const Hooks& hooks, std::span<const std::vector<int64_t>> texts,
                       int64_t batch_size) {
  return over_texts(model, hooks, texts, batch_size,
                    [&](const Context& context) { return sequence_scores(model, context, hooks); });
}

at::Tensor embed_texts(const Model& model, const Hooks& hooks, std::span<const std::vector<int64_t>> texts,
                       int64_t batch_size, const EmbeddingForm& form) {
  const at::Tensor vectors = over_texts(model, hooks, texts, batch_size, [&](const Context& context) {
    return sequence_embeddings(model, context, hooks, form.pooling);
  });
  if (!form.normalised) return vectors;
  constexpr double smallest = 1e-12;  // as torch.nn.functional.normalize
  return vectors / vectors.norm(2, {1}, true).clamp_min(smallest);
}

}  // namespace lowrank
