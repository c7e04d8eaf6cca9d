#include "study/compare/compared_task.h"

#include <algorithm>

#include "base/error.h"
#include "base/fingerprint.h"
#include "base/log.h"
#include "base/mmap_file.h"
#include "base/staged_folder.h"
#include "session/task.h"
#include "study/benchmark/row_files.h"
#include "study/compare/fewer_rows.h"
#include "train/run_identity.h"

namespace lowrank {
namespace {

/// A model that was replaced differs in each tensor: the beginning of each tells it, and large files are not
/// read.
constexpr size_t bytes_of_each_tensor = 256;

const char* task_name(Answer answer) {
  return answer == Answer::label ? "classification" : answer == Answer::number ? "regression" : "auto";
}

void add_file(Fingerprint& fingerprint, const std::filesystem::path& path) {
  const MmapFile file = MmapFile::open(path);
  fingerprint.add(file.bytes());
}

std::string fingerprint_of(const PreparedBenchmark& prepared, const std::string& general_text) {
  Fingerprint fingerprint;
  add_file(fingerprint, prepared.train);
  add_file(fingerprint, prepared.validation);
  for (const AskedRows& asked : prepared.asked) add_file(fingerprint, asked.rows);
  if (!general_text.empty()) add_file(fingerprint, general_text);
  return fingerprint.text();
}

ExampleStore general_examples(const ComparisonOptions& options, const ComparisonPlan& plan,
                              const Tokenizer& tokenizer, int64_t room) {
  DatasetOptions reading;
  reading.max_length = options.max_length > 0 ? std::min(options.max_length, room) : room;
  Dataset rows = load_dataset(options.general_text, &tokenizer, plan.spec.vocabulary_size, reading);
  report_rows(options.general_text, rows, reading.max_length, "the model's context");
  return std::move(rows.examples);
}

}  // namespace

PreparedBenchmark prepared_rows(const ComparisonOptions& options, const BenchmarkScoring& scoring,
                                const std::filesystem::path& folder) {
  make_folders(folder);
  PreparedBenchmark prepared =
      benchmark_of_name(options.benchmark)
          .prepare(options.source, folder, nlohmann::ordered_json(options.benchmark_options));
  check(!prepared.asked.empty(), ErrorKind::invalid, "benchmark {}: it has no rows to ask",
        options.benchmark);
  prepared.validation =
      fewer_lines(prepared.validation, options.validation_rows, folder / "validation.used.jsonl");
  if (scoring.answer != Answer::loss) {
    for (AskedRows& asked : prepared.asked)
      asked = fewer_rows(asked, options.max_rows, folder / (asked.name + ".used.jsonl"));
  }
  return prepared;
}

std::optional<LabelSet> labels_of(const ComparisonOptions& options, const BenchmarkScoring& scoring,
                                  const PreparedBenchmark& prepared) {
  const std::vector<std::string> rows = {prepared.train.string()};
  if (read_spec(options.session.model).task == Task::causal_lm) return std::nullopt;
  return choose_labels(task_name(scoring.answer), options.session.model, "", rows, {});
}

ComparedTask open_task(const ComparisonOptions& options, const ComparisonPlan& plan,
                       const PreparedBenchmark& prepared, const std::filesystem::path& folder) {
  ComparedTask task;
  task.checkpoint = open_model(options.session, plan.spec.labels);
  task.tokenizer = find_tokenizer(options.session.model);
  const ModelSpec& spec = task.checkpoint->spec();
  TrainingDataOptions rows;
  rows.data = {prepared.train.string()};
  rows.eval_data = prepared.validation.string();
  rows.dataset.labels = spec.labels;
  rows.dataset.max_length = options.max_length;
  task.data = load_training_data(rows, options.session.model, "", spec, plan.context_rows(),
                                 static_cast<uint64_t>(options.seeds.front()));
  const Answer answer = plan.scoring.answer;
  check(task.tokenizer.has_value(), ErrorKind::unsupported,
        "{}: the model has no tokenizer, without which it cannot be asked", options.session.model);
  const int64_t room = spec.max_positions - plan.context_rows();
  const auto read = [&](const AskedRows& asked) {
    return read_questions(asked, answer, options.session.model, *task.tokenizer, spec.vocabulary_size, room);
  };
  for (const AskedRows& asked : prepared.asked) task.questions.push_back(read(asked));
  if (options.search.judge == "metric") {
    RowOptions reading;
    if (answer != Answer::text) reading.format = "label";
    task.validation = read(write_asked_rows(
        {"validation.asked", rows_of_file(prepared.validation, reading, answer), answer == Answer::text},
        folder));
  }
  if (!options.general_text.empty()) task.general = general_examples(options, plan, *task.tokenizer, room);
  task.fingerprint = fingerprint_of(prepared, options.general_text);
  task.base_fingerprint = fingerprint_of(*task.checkpoint, bytes_of_each_tensor);
  return task;
}

}  // namespace lowrank
