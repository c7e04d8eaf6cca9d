#include "data/row_cache.h"

#include <algorithm>
#include <chrono>
#include <system_error>

#include "base/error.h"
#include "base/fingerprint.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mmap_file.h"
#include "base/version.h"
#include "data/examples/cache_folder.h"
#include "data/examples/example_file.h"
#include "data/rows/data_files.h"
#include "tokenizer/core/spec_fingerprint.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

/// Changes when the same rows and options give other examples.
constexpr int64_t format_version = 3;

/// Adds the first and last megabyte of a file, and blocks between them.
void add_sample(Fingerprint& all, const fs::path& path) {
  constexpr size_t end_bytes = 1 << 20, block_bytes = 1 << 16, blocks = 64;
  const MmapFile file = MmapFile::open(path);
  const std::span<const std::byte> bytes = file.bytes();
  all.add(bytes.first(std::min(bytes.size(), end_bytes)));
  all.add(bytes.last(std::min(bytes.size(), end_bytes)));
  if (bytes.size() <= 2 * end_bytes) return;
  const size_t step = (bytes.size() - block_bytes) / blocks;
  for (size_t i = 0; i < blocks; ++i) all.add(bytes.subspan(i * step, block_bytes));
}

void add_file(Fingerprint& all, const fs::path& path) {
  all.add(path.string());
  all.add(fs::absolute(path).string());
  all.add(static_cast<int64_t>(fs::file_size(path)));
  all.add(fs::last_write_time(path).time_since_epoch().count());
  add_sample(all, path);
}

/// Adds what conversations are rendered with. A model without a template refuses them when there are some.
void add_chat(Fingerprint& all, const DatasetOptions& options, bool has_tools) {
  if (!options.chat) return all.add("no chat");
  try {
    options.chat(has_tools).add_to(all);
  } catch (const Error& error) {
    all.add(error.what());
  }
}

void add_options(Fingerprint& all, const DatasetOptions& options) {
  nlohmann::json values = {options.format, options.columns, options.max_length,
                           static_cast<int>(options.on_long), static_cast<int>(options.train_on)};
  values.push_back(options.labels ? nlohmann::json(options.labels->names) : nlohmann::json());
  values.push_back(options.labels && options.labels->several);
  if (options.compared) values.push_back({options.compared->query, options.compared->document});
  all.add(json_text(values));
}

uint64_t bytes_of(const std::vector<fs::path>& files) {
  uint64_t bytes = 0;
  std::error_code error;
  for (const fs::path& file : files) {
    const uintmax_t size = fs::file_size(file, error);
    if (!error) bytes += size;
  }
  return bytes;
}

/// The counters of a data set by name, of any type that they have.
template <class Visit>
void each_fact(Dataset& dataset, const Visit& visit) {
  visit("sources", dataset.sources);
  visit("truncated", dataset.truncated);
  visit("dropped", dataset.dropped);
  visit("skipped", dataset.skipped);
  visit("cut_off", dataset.cut_off);
  visit("cut_tokens", dataset.cut_tokens);
  visit("lost_tokens", dataset.lost_tokens);
  visit("truncated_rows", dataset.truncated_rows);
  visit("dropped_rows", dataset.dropped_rows);
  visit("skipped_rows", dataset.skipped_rows);
  visit("begun", dataset.notes.begun);
  visit("closed", dataset.notes.closed);
  visit("empty", dataset.notes.empty);
  visit("rows", dataset.notes.rows);
  visit("chats", dataset.chat_notes.conversations);
  visit("special_tokens", dataset.chat_notes.special_tokens);
  visit("special_text", dataset.chat_notes.special_text);
  visit("lost_texts", dataset.chat_notes.lost_texts);
  visit("lost_role", dataset.chat_notes.lost_role);
  visit("lost_parts", dataset.chat_notes.lost_parts);
  visit("open_answers", dataset.chat_notes.open_answers);
  visit("format", dataset.format);
  visit("conversations", dataset.conversations);
  visit("in_array", dataset.in_array);
  visit("chat_template", dataset.chat_template);
  visit("end_tokens", dataset.end_tokens);
}

}  // namespace

std::string facts_of(const Dataset& dataset) {
  Dataset copy = dataset;
  nlohmann::json facts;
  each_fact(copy, [&](const char* name, const auto& value) { facts[name] = value; });
  facts["left_out"] = dataset.left_out.text();
  return json_text(facts);
}

Dataset dataset_of_facts(std::string_view facts, const std::string& where) {
  const nlohmann::json read = parse_json(facts, where);
  Dataset dataset;
  try {
    each_fact(dataset, [&](const char* name, auto& value) { read.at(name).get_to(value); });
    dataset.left_out = LeftOutRows::of_text(read.at("left_out").get_ref<const std::string&>(), where);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::corrupt, "{}: {}", where, error.what());
  }
  return dataset;
}

std::optional<RowCache> RowCache::of(std::span<const std::string> patterns, const Tokenizer* tokenizer,
                                     int64_t vocabulary, const DatasetOptions& options) {
  if (options.cache.empty() || options.adapter_number) return std::nullopt;
  std::vector<std::vector<fs::path>> sources;
  uint64_t bytes = 0;
  for (const std::string& pattern : patterns) bytes += bytes_of(sources.emplace_back(data_files(pattern)));
  if (bytes < options.cache_from_bytes) return std::nullopt;
  Fingerprint all;
  all.add(format_version);
  all.add(program_version());
  all.add(vocabulary);
  try {
    for (const std::vector<fs::path>& files : sources) {
      all.add(static_cast<int64_t>(files.size()));
      for (const fs::path& file : files) add_file(all, file);
    }
  } catch (const fs::filesystem_error&) {
    return std::nullopt;  // reading it says what is wrong
  } catch (const Error&) {
    return std::nullopt;
  }
  if (tokenizer) add_to(all, tokenizer->spec());
  for (const bool has_tools : {false, true}) add_chat(all, options, has_tools);
  add_options(all, options);
  const std::string key = all.text();
  return RowCache(options.cache / (key + rows_ending), key, vocabulary);
}

std::optional<Dataset> RowCache::find() const {
  std::error_code error;
  if (!fs::exists(path_, error)) return std::nullopt;
  try {
    const auto mapped = MappedExamples::open(path_, key_, vocabulary_);
    Dataset dataset = dataset_of_facts(mapped->facts(), path_.string());
    dataset.examples = ExampleStore(mapped);
    check(dataset.left_out.end() <= std::ssize(dataset.examples) + dataset.left_out.count(),
          ErrorKind::corrupt, "{}: leaves out rows beyond the last", path_.string());
    // Files that were used longest ago are removed first.
    fs::last_write_time(path_, fs::file_time_type::clock::now(), error);
    info("{}: has the tokenised rows from an earlier run", path_.string());
    return dataset;
  } catch (const Error& broken) {
    warn("{}; the rows are read anew", broken.what());
    return std::nullopt;
  }
}

}  // namespace lowrank
