#include "study/compare/questions.h"

#include <charconv>

#include <ATen/ops/argmax.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/json.h"
#include "base/one_line.h"
#include "data/dataset.h"
#include "infer/encode.h"
#include "metrics/registry.h"

namespace lowrank {
namespace {

double number_of(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size(), ErrorKind::invalid,
        "{} is no number, which the metric compares", in_quotes(text));
  return value;
}

std::vector<double> numbers_of(const std::vector<std::string>& texts) {
  std::vector<double> numbers;
  numbers.reserve(texts.size());
  for (const std::string& text : texts) numbers.push_back(number_of(text));
  return numbers;
}

std::vector<std::string> labels_by(const at::Tensor& scores, const LabelSet& labels) {
  std::vector<std::string> found;
  for (int64_t row = 0; row < scores.size(0); ++row)
    found.push_back(labels.has_classes() ? labels.names[at::argmax(scores[row]).item<int64_t>()]
                                         : fmt::format("{:.6g}", scores[row][0].item<float>()));
  return found;
}

}  // namespace

std::string Questions::shown(size_t row) const {
  const nlohmann::ordered_json& json = answer == Answer::text ? prompts.rows[row] : texts.rows[row];
  for (const char* key : {"prompt", "text", "sentence", "instruction"})
    if (json.contains(key) && json[key].is_string()) return json[key].get<std::string>();
  if (json.contains("messages") && json["messages"].is_array()) {
    std::string turns;
    for (const auto& message : json["messages"]) {
      const std::string role = message.value("role", "");
      if (role != "assistant") turns += role + ": " + message.value("content", "") + "\n";
    }
    return turns;
  }
  nlohmann::ordered_json rest = json;
  for (const char* key : {"label", "completion", "output"}) rest.erase(key);
  return json_text(rest);
}

Questions read_questions(const AskedRows& asked, Answer answer, const std::string& model,
                         const Tokenizer& tokenizer, int64_t vocabulary, int64_t room) {
  Questions found{asked.name, answer, {}, {}, {}, asked.references};
  if (answer == Answer::text) {
    found.prompts = read_prompt_rows(tokenizer, {model, "", asked.rows.string(), "", {}, {}});
    check_prompt_lengths(found.prompts, room);
  } else if (answer == Answer::loss) {
    DatasetOptions reading;
    reading.max_length = room;
    reading.chat = chat_format_on_demand(model, "", tokenizer, {});
    found.examples = std::move(load_dataset(asked.rows.string(), &tokenizer, vocabulary, reading).examples);
  } else {
    TextRowOptions options;
    options.data = asked.rows.string();
    found.texts = read_text_rows(options, tokenizer, room);
  }
  const size_t rows = answer == Answer::text ? found.prompts.rows.size() : found.texts.rows.size();
  check(answer == Answer::loss || rows == asked.references.size(), ErrorKind::corrupt,
        "{}: {} rows for {} lists of references", asked.rows.string(), rows, asked.references.size());
  return found;
}

std::vector<std::string> answers_to(const Questions& questions, const Model& model,
                                    const InferenceHooks& hooks, const Tokenizer& tokenizer,
                                    const GenerationOptions& generation, const LabelSet* labels) {
  if (questions.answer == Answer::loss) return {};
  if (questions.answer != Answer::text) {
    check(labels != nullptr, ErrorKind::invalid, "the model has no label head, which the benchmark needs");
    constexpr int64_t batch_size = 32;
    return labels_by(score_texts(model, hooks, questions.texts.ids, batch_size, questions.texts.type_one),
                     *labels);
  }
  GenerationOptions options = generation;
  options.end_tokens = questions.prompts.end_tokens;
  std::vector<std::string> answers;
  for (Generation& made : generate(model, hooks, tokenizer, questions.prompts.ids, options))
    answers.push_back(std::move(made.text));
  return answers;
}

std::vector<std::pair<std::string, double>> scores_of(const std::vector<std::string>& answers,
                                                      const Questions& questions,
                                                      const BenchmarkScoring& scoring) {
  std::vector<std::string> compared = answers, firsts;
  std::vector<metrics::References> references = questions.references;
  if (scoring.extract) {
    for (std::string& text : compared) text = scoring.extract(text);
    for (metrics::References& of_row : references)
      for (std::string& text : of_row) text = scoring.extract(text);
  }
  for (const metrics::References& of_row : references) firsts.push_back(of_row.front());
  std::vector<std::pair<std::string, double>> found;
  for (const std::string& name : scoring.metrics) {
    const metrics::MetricInfo& metric = metrics::metric_of_name(name);
    double score = 0;
    switch (metric.input) {
      case metrics::MetricInput::texts:
        score = metric.of_texts(compared, references).score;
        break;
      case metrics::MetricInput::labels:
        score = metric.of_labels(compared, firsts);
        break;
      case metrics::MetricInput::numbers:
        score = metric.of_numbers(numbers_of(compared), numbers_of(firsts));
        break;
    }
    found.emplace_back(name, score);
  }
  return found;
}

}  // namespace lowrank
