#include "study/benchmark/rows.h"

#include <unordered_map>

#include "base/error.h"
#include "data/rows/data_files.h"

namespace lowrank {
namespace {

/// The rows of a source that are asked, those of one group as one.
std::vector<BenchmarkRow> joined_rows(const AskedSource& source) {
  std::vector<BenchmarkRow> joined;
  std::unordered_map<std::string, size_t> of_group;
  source.rows([&](BenchmarkRow row) {
    const auto [found, is_new] = of_group.emplace(row.group, joined.size());
    if (is_new) {
      joined.push_back(std::move(row));
      return;
    }
    std::vector<std::string>& references = joined[found->second].references;
    references.insert(references.end(), row.references.begin(), row.references.end());
  });
  if (source.most_references == 0) return joined;
  for (BenchmarkRow& row : joined) {
    if (std::ssize(row.references) > source.most_references)
      row.references.resize(static_cast<size_t>(source.most_references));
  }
  return joined;
}

}  // namespace

BenchmarkRow prompt_row(std::string prompt, std::string completion, std::string reference) {
  BenchmarkRow row{{{"prompt", prompt}, {"completion", std::move(completion)}}, {}, {std::move(reference)}};
  row.group = std::move(prompt);
  return row;
}

BenchmarkRow labelled_row(std::vector<std::string> texts, nlohmann::ordered_json label,
                          std::string reference) {
  BenchmarkRow row;
  for (const std::string& text : texts) row.group += text + '\t';
  if (texts.size() == 1) {
    row.fields["text"] = std::move(texts[0]);
  } else {
    row.fields["sentence1"] = std::move(texts[0]);
    row.fields["sentence2"] = std::move(texts[1]);
  }
  row.fields["label"] = std::move(label);
  row.references.push_back(std::move(reference));
  return row;
}

void RowFile::write(const nlohmann::ordered_json& row) {
  file_.write(row_text(row) + '\n');
}

AskedRows write_asked_rows(const AskedSource& source, const std::filesystem::path& folder) {
  AskedRows asked{source.name, folder / (source.name + ".jsonl"), {}};
  RowFile file(asked.rows);
  if (source.joined) {
    for (BenchmarkRow& row : joined_rows(source)) {
      if (!row.references.empty()) row.fields["references"] = row.references;
      file.write(row.fields);
      asked.references.push_back(std::move(row.references));
    }
  } else {
    source.rows([&](BenchmarkRow row) {
      file.write(row.fields);
      asked.references.push_back(std::move(row.references));
    });
  }
  check(!asked.references.empty(), ErrorKind::invalid, "the benchmark has no rows to ask ({})", source.name);
  file.commit();
  return asked;
}

PreparedBenchmark write_benchmark(const BenchmarkRows& train, const BenchmarkRows& validation,
                                  const std::vector<AskedSource>& asked,
                                  const std::filesystem::path& folder) {
  PreparedBenchmark prepared{folder / "train.jsonl", folder / "validation.jsonl", {}};
  for (const AskedSource& source : asked) prepared.asked.push_back(write_asked_rows(source, folder));
  write_training_rows(train, validation, folder);
  return prepared;
}

}  // namespace lowrank
