#include "report/trainer_log.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace lowrank {
namespace {

using Json = nlohmann::json;
using Record = nlohmann::ordered_json;

constexpr std::string_view evaluation_prefix = "eval_";

/// Keys of a record that the Trainer does not log.
constexpr std::array<std::string_view, 5> own_keys = {"tokens", "target_tokens", "tokens_per_second",
                                                      "peak_rss_bytes", "seconds"};

/// Keys whose values are those of the last step, not means.
constexpr std::array<std::string_view, 4> last_keys = {"step", "epoch", "grad_norm", "learning_rate"};

template <size_t size>
bool contains(const std::array<std::string_view, size>& keys, const std::string& key) {
  return std::ranges::find(keys, key) != keys.end();
}

bool is_evaluation(const Record& record) {
  return record.contains("eval_loss");
}

/// The Trainer's count of operations, forward and backward: 6 per token and parameter outside embeddings.
double operations(int64_t tokens, const TrainerFacts& facts) {
  return 6.0 * static_cast<double>(tokens) * static_cast<double>(facts.parameters);
}

int64_t number_of(const Record& record, const char* key) {
  return record.value(key, int64_t{0});
}

}  // namespace

std::optional<Json> TrainerLog::take(const Record& record) {
  if (is_evaluation(record)) return Json(record);
  ++steps_;
  Json entry;
  for (const auto& [key, value] : record.items()) {
    if (contains(own_keys, key) || !value.is_number()) continue;
    if (contains(last_keys, key)) {
      entry[key] = value;
    } else {
      sums_[key] += value.get<double>();
    }
  }
  if (number_of(record, "step") % std::max<int64_t>(1, every_) != 0) return std::nullopt;
  for (const auto& [key, sum] : sums_) entry[key] = sum / static_cast<double>(steps_);
  sums_.clear();
  steps_ = 0;
  return entry;
}

std::vector<EventScalar> event_scalars(const Json& entry) {
  std::vector<EventScalar> scalars;
  for (const auto& [key, value] : entry.items()) {
    if (key == "step" || !value.is_number()) continue;
    const bool evaluation = key.starts_with(evaluation_prefix);
    scalars.push_back({evaluation ? "eval/" + key.substr(evaluation_prefix.size()) : "train/" + key,
                       static_cast<float>(value.get<double>())});
  }
  return scalars;
}

Json final_log_entry(const std::vector<Record>& records, const TrainerFacts& facts) {
  double loss = 0, seconds = 0, epoch = 0;
  int64_t steps = 0, last = 0, tokens = 0;
  for (const Record& record : records) {
    if (is_evaluation(record)) continue;
    loss += record.value("loss", 0.0);
    seconds += record.value("seconds", 0.0);
    epoch = record.value("epoch", 0.0);
    last = number_of(record, "step");
    tokens += number_of(record, "tokens");
    ++steps;
  }
  const auto done = static_cast<double>(steps);
  Json entry = {{"epoch", epoch},
                {"step", last},
                {"total_flos", operations(tokens, facts)},
                {"train_loss", steps > 0 ? loss / done : 0.0},
                {"train_runtime", seconds}};
  if (seconds > 0) {
    entry["train_samples_per_second"] = done * static_cast<double>(facts.examples_per_step) / seconds;
    entry["train_steps_per_second"] = done / seconds;
  }
  return entry;
}

Json trainer_state(const std::vector<Record>& records, const TrainerFacts& facts, bool finished) {
  TrainerLog log(facts.log_every);
  Json history = Json::array();
  int64_t step = 0, tokens = 0;
  double epoch = 0;
  for (const Record& record : records) {
    step = number_of(record, "step");
    epoch = record.value("epoch", 0.0);
    tokens += number_of(record, "tokens");
    if (std::optional<Json> entry = log.take(record)) history.push_back(std::move(*entry));
  }
  if (finished) history.push_back(final_log_entry(records, facts));
  Json state = {{"best_global_step", nullptr},
                {"best_metric", nullptr},
                {"best_model_checkpoint", nullptr},
                {"epoch", epoch},
                {"eval_steps", facts.eval_every},
                {"global_step", step},
                {"is_hyper_param_search", false},
                {"is_local_process_zero", true},
                {"is_world_process_zero", true},
                {"log_history", std::move(history)},
                {"logging_steps", std::max<int64_t>(1, facts.log_every)},
                {"max_steps", facts.total_steps},
                {"num_input_tokens_seen", tokens},
                {"num_train_epochs", static_cast<int64_t>(std::ceil(facts.epochs))},
                {"save_steps", facts.save_every},
                {"stateful_callbacks", Json::object()},
                {"total_flos", operations(tokens, facts)},
                {"train_batch_size", facts.batch_size},
                {"trial_name", nullptr},
                {"trial_params", nullptr}};
  if (facts.best_loss) {
    state["best_metric"] = *facts.best_loss;
    state["best_global_step"] = facts.best_step;
    state["best_model_checkpoint"] = facts.best_place;
  }
  return state;
}

}  // namespace lowrank
