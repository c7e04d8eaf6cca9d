// GLUE (Wang et al. 2018, arXiv 1804.07461): its nine tasks as published, tables divided by tabs.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/one_line.h"
#include "study/benchmark/entry_options.h"
#include "study/benchmark/rows.h"
#include "study/benchmark/source_files.h"
#include "study/benchmark/tab_table.h"

namespace lowrank {
namespace {

/// A task of GLUE as it is published.
struct GlueTask {
  std::string_view name, folder;
  std::vector<std::string> texts;    ///< their columns
  std::string label;                 ///< its column
  std::vector<std::string> classes;  ///< empty: a number
  std::vector<std::string> metrics;
  std::vector<size_t> positions{};  ///< of texts and label where the first line names no columns
  /// Development tables, with the names under which their rows are asked.
  std::vector<std::pair<std::string_view, std::string_view>> development{{"test", "dev.tsv"}};
};

const std::vector<GlueTask>& glue_tasks() {
  static const std::vector<std::string> binary{"0", "1"}, entailment{"entailment", "not_entailment"};
  static const std::vector<std::string> accuracy{"accuracy"}, both{"accuracy", "f1"};
  static const std::vector<GlueTask> tasks{
      {"cola", "CoLA", {"sentence"}, "label", binary, {"matthews"}, {3, 1}},
      {"sst2", "SST-2", {"sentence"}, "label", binary, accuracy, {0, 1}},
      {"mrpc", "MRPC", {"#1 String", "#2 String"}, "Quality", binary, both},
      {"qqp", "QQP", {"question1", "question2"}, "is_duplicate", binary, both},
      {"stsb", "STS-B", {"sentence1", "sentence2"}, "score", {}, {"pearson", "spearman"}},
      {"mnli",
       "MNLI",
       {"sentence1", "sentence2"},
       "gold_label",
       {"entailment", "neutral", "contradiction"},
       accuracy,
       {},
       {{"matched", "dev_matched.tsv"}, {"mismatched", "dev_mismatched.tsv"}}},
      {"qnli", "QNLI", {"question", "sentence"}, "label", entailment, accuracy},
      {"rte", "RTE", {"sentence1", "sentence2"}, "label", entailment, accuracy},
      {"wnli", "WNLI", {"sentence1", "sentence2"}, "label", binary, accuracy}};
  return tasks;
}

struct GlueOptions {
  SourceNames names;
  std::string task;

  std::vector<Field> fields() {
    std::vector<std::string> known;
    for (const GlueTask& entry : glue_tasks()) known.emplace_back(entry.name);
    std::vector<Field> fields{one_of(field("task", task, "which of GLUE's tasks; needed"), known)};
    for (Field& name : names.fields()) fields.push_back(std::move(name));
    return fields;
  }

  const GlueTask& chosen() const {
    std::vector<std::string_view> known;
    for (const GlueTask& entry : glue_tasks()) known.push_back(entry.name);
    check(!task.empty(), ErrorKind::invalid, "the benchmark glue needs `task`, one of {}",
          fmt::join(known, ", "));
    return *std::ranges::find(glue_tasks(), task, &GlueTask::name);
  }
};

/// The label of a row: a number, a class that is a number, or a class that is a word.
nlohmann::ordered_json label_of(std::string_view text, const GlueTask& task) {
  if (!task.classes.empty()) {
    check(std::ranges::find(task.classes, text) != task.classes.end(), ErrorKind::invalid,
          "has the label {}, where {} has {}", in_quotes(text), task.folder, fmt::join(task.classes, ", "));
    if (task.classes.front() == "0") return text == "1" ? 1 : 0;
    return std::string(text);
  }
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  check(error == std::errc() && end == text.data() + text.size() && std::isfinite(number), ErrorKind::invalid,
        "has the score {}, which is not a number", in_quotes(text));
  return number;
}

/// The columns of a table of the task: by name, or by position where the first line is a row.
TabColumns columns_of(const std::filesystem::path& path, const GlueTask& task) {
  std::vector<std::string> names = task.texts;
  names.push_back(task.label);
  const std::vector<std::string> first = first_cells(path);
  const bool named = task.positions.empty() || std::ranges::find(first, task.texts.front()) != first.end();
  return named ? TabColumns{std::move(names), {}} : TabColumns{{}, task.positions};
}

BenchmarkRows rows_of(const std::filesystem::path& path, const GlueTask& task) {
  if (path.empty()) return nullptr;
  return [path, &task, warned = false](const std::function<void(BenchmarkRow)>& take) mutable {
    const TakeCells take_cells = [&](std::span<const std::string_view> cells, const SourceLine&) {
      nlohmann::ordered_json label = label_of(cells.back(), task);
      std::vector<std::string> texts(cells.begin(), cells.end() - 1);
      take(labelled_row(std::move(texts), std::move(label), std::string(cells.back())));
    };
    read_tab_table(path, columns_of(path, task), take_cells, !std::exchange(warned, true));
  };
}

/// Whether a table has labels, which GLUE's own test tables lack.
bool has_labels(const std::filesystem::path& path, const GlueTask& task) {
  const std::vector<std::string> first = first_cells(path);
  if (std::ranges::find(first, task.label) != first.end()) return true;
  if (task.positions.empty() || task.positions.back() >= first.size()) return false;
  return std::ranges::find(task.classes, first[task.positions.back()]) != task.classes.end();
}

/// The files of a task. GLUE's test tables have no labels: the development rows are asked in their place, as
/// in the literature, and validation rows come from the training rows. A test table with labels is asked
/// itself.
struct GlueFiles {
  std::filesystem::path train, validation;
  std::vector<std::pair<std::string, std::filesystem::path>> asked;
};

GlueFiles files_of(const std::filesystem::path& source, const GlueOptions& options, const GlueTask& task) {
  const std::string in_all = fmt::format("glue_data/{}", task.folder);
  const std::array<std::string_view, 4> folders{"", task.name, task.folder, in_all};
  const bool test_is_named = !options.names.test.empty();
  std::vector<SourceFile> wanted = three_parts(options.names, {"train.tsv"}, {}, {"test.tsv"});
  wanted[2].needed = test_is_named;
  for (const auto& [part, name] : task.development)
    wanted.push_back({"development", {std::string(name)}, !test_is_named});
  const auto found = find_source_files(source, folders, wanted, fmt::format("glue, task {}", task.name));
  GlueFiles files{found[0], found[1], {}};
  if (!found[2].empty() && has_labels(found[2], task)) {
    if (files.validation.empty()) files.validation = found[3];
    files.asked.emplace_back("test", found[2]);
    return files;
  }
  check(!test_is_named, ErrorKind::invalid, "{}: the table has no labels", found[2].string());
  for (size_t i = 0; i < task.development.size(); ++i)
    files.asked.emplace_back(task.development[i].first, found[3 + i]);
  return files;
}

PreparedBenchmark prepare(const std::filesystem::path& source, const std::filesystem::path& folder,
                          const nlohmann::ordered_json& options) {
  const auto read = read_entry_options<GlueOptions>(options, "glue");
  const GlueTask& task = read.chosen();
  const GlueFiles files = files_of(source, read, task);
  std::vector<AskedSource> asked;
  for (const auto& [name, path] : files.asked) asked.push_back({name, rows_of(path, task), false});
  return write_benchmark(rows_of(files.train, task), rows_of(files.validation, task), asked, folder);
}

BenchmarkScoring scoring(const nlohmann::ordered_json& options) {
  const auto read = read_entry_options<GlueOptions>(options, "glue");
  const GlueTask& task = read.chosen();
  return {task.classes.empty() ? Answer::number : Answer::label, task.metrics, {}};
}

}  // namespace

extern const BenchmarkInfo glue_benchmark;
const BenchmarkInfo glue_benchmark{"glue",
                                   "a task of GLUE (arXiv 1804.07461): its train.tsv and dev.tsv (MNLI: "
                                   "dev_matched.tsv, dev_mismatched.tsv), "
                                   "and test.tsv where that has labels",
                                   prepare, scoring, entry_options<GlueOptions>};

}  // namespace lowrank
