#include "study/compare/run_record.h"

#include "base/error.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json maybe(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

template <class T>
std::optional<T> maybe(const nlohmann::json& json, const char* key) {
  return json.at(key).is_null() ? std::nullopt : std::optional(json.at(key).get<T>());
}

Json json_of(const std::vector<CurvePoint>& curve) {
  Json points = Json::array();
  for (const CurvePoint& point : curve) points.push_back({point.step, point.value});
  return points;
}

std::vector<CurvePoint> curve_of(const nlohmann::json& json) {
  std::vector<CurvePoint> points;
  for (const nlohmann::json& point : json) {
    // A loss that is not finite was written as null.
    if (point.at(1).is_number()) points.push_back({point.at(0).get<int64_t>(), point.at(1).get<double>()});
  }
  return points;
}

}  // namespace

std::optional<double> RunRecord::forgetting() const {
  if (!general_loss || !general_loss_before) return std::nullopt;
  return *general_loss - *general_loss_before;
}

Json json_of(const RunRecord& record) {
  Json metrics = Json::array(), samples = Json::array();
  for (const auto& [name, value] : record.metrics) metrics.push_back({name, value});
  for (const SampleAnswer& sample : record.samples)
    samples.push_back(
        {{"prompt", sample.prompt}, {"reference", sample.reference}, {"answer", sample.answer}});
  return {{"label", record.label},
          {"method", record.method},
          {"seed", record.seed},
          {"learning_rate", record.learning_rate},
          {"problem", record.problem},
          {"steps", record.steps},
          {"tokens", record.tokens},
          {"trained_parameters", record.trained},
          {"head_parameters", record.head},
          {"share", record.share},
          {"context_rows", record.context_rows},
          {"seconds", record.seconds},
          {"together", record.together},
          {"tokens_per_second", record.tokens_per_second()},
          {"peak_memory_bytes", record.peak_bytes},
          {"adapter_bytes", maybe(record.adapter_bytes)},
          {"validation_loss_before", maybe(record.loss_before)},
          {"validation_loss", maybe(record.loss)},
          {"general_loss_before", maybe(record.general_loss_before)},
          {"general_loss", maybe(record.general_loss)},
          {"seconds_per_token", maybe(record.latency)},
          {"seconds_per_token_merged", maybe(record.merged_latency)},
          {"metrics", metrics},
          {"curve", json_of(record.curve)},
          {"evaluations", json_of(record.evaluations)},
          {"samples", samples}};
}

RunRecord run_record_of(const nlohmann::json& json, const std::string& where) try {
  RunRecord record;
  json.at("label").get_to(record.label);
  json.at("method").get_to(record.method);
  json.at("seed").get_to(record.seed);
  json.at("learning_rate").get_to(record.learning_rate);
  json.at("problem").get_to(record.problem);
  json.at("steps").get_to(record.steps);
  json.at("tokens").get_to(record.tokens);
  json.at("trained_parameters").get_to(record.trained);
  json.at("head_parameters").get_to(record.head);
  json.at("share").get_to(record.share);
  json.at("context_rows").get_to(record.context_rows);
  json.at("seconds").get_to(record.seconds);
  record.together = json.value("together", int64_t{1});  // earlier versions had no such runs
  json.at("peak_memory_bytes").get_to(record.peak_bytes);
  record.adapter_bytes = maybe<int64_t>(json, "adapter_bytes");
  record.loss_before = maybe<double>(json, "validation_loss_before");
  record.loss = maybe<double>(json, "validation_loss");
  record.general_loss_before = maybe<double>(json, "general_loss_before");
  record.general_loss = maybe<double>(json, "general_loss");
  record.latency = maybe<double>(json, "seconds_per_token");
  record.merged_latency = maybe<double>(json, "seconds_per_token_merged");
  for (const nlohmann::json& metric : json.at("metrics")) {
    // A correlation of equal numbers is not defined, and was written as null.
    if (metric.at(1).is_number())
      record.metrics.emplace_back(metric.at(0).get<std::string>(), metric.at(1).get<double>());
  }
  record.curve = curve_of(json.at("curve"));
  record.evaluations = curve_of(json.at("evaluations"));
  for (const nlohmann::json& sample : json.at("samples"))
    record.samples.push_back({sample.at("prompt").get<std::string>(),
                              sample.at("reference").get<std::string>(),
                              sample.at("answer").get<std::string>()});
  return record;
} catch (const nlohmann::json::exception&) {
  fail(ErrorKind::corrupt, "{}: not the record of a run of this program; remove its folder to run it again",
       where);
}

}  // namespace lowrank
