#include "data/encode_row.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "base/error.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

bool begins_with(const std::vector<int64_t>& ids, const std::vector<int64_t>& prefix) {
  return ids.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), ids.begin());
}

/// The ids of a row's text, or of its two texts.
Example text_example(const Row& row, const Tokenizer& tokenizer, int64_t most) {
  Example example;
  example.line = row.line;
  if (row.second) {
    Tokenizer::Pair pair = tokenizer.encode_pair(row.completion, *row.second, most);
    if (pair.length > most) example.length = pair.length;
    example.tokens = std::move(pair.ids);
    example.type_one_tokens = pair.type_one;
    return example;
  }
  WholeText text = encode_whole(tokenizer, row.completion, most);
  if (text.length > most) example.length = text.length;
  example.tokens = std::move(text.ids);
  return example;
}

}  // namespace

void RowNotes::add(const RowNotes& others) {
  begun += others.begun;
  closed += others.closed;
  empty += others.empty;
  rows += others.rows;
}

std::vector<std::string> RowNotes::warnings() const {
  std::vector<std::string> sentences;
  const auto add = [&](int64_t count, std::string_view one, std::string_view several) {
    if (count > 0)
      sentences.push_back(
          fmt::format("{} of {} {}", count, counted(rows, "row"), count == 1 ? one : several));
  };
  add(begun, "begins with the beginning token already; no second one is put in front",
      "begin with the beginning token already; no second one is put in front");
  add(closed, "ends with an end token already; no second one is put behind",
      "end with an end token already; no second one is put behind");
  add(empty, "has an empty completion and teaches the end token alone",
      "have an empty completion and teach the end token alone");
  return sentences;
}

std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, std::string_view prompt) {
  std::vector<int64_t> text = tokenizer.encode(prompt, false);
  const std::vector<int64_t>& prefix = tokenizer.spec().prefix;
  if (!begins_with(text, prefix)) text.insert(text.begin(), prefix.begin(), prefix.end());
  return text;
}

Example encode_row(const Tokenizer& tokenizer, const Row& row, int64_t max_length, RowNotes& notes) {
  const std::vector<int64_t>& prefix = tokenizer.spec().prefix;
  const bool all = row.format == RowFormat::text;
  const int64_t most = max_length > 0 ? max_length : std::numeric_limits<int64_t>::max() / 2;
  TokenSink text(most + std::ssize(prefix));  // room for a prefix in the text itself
  tokenizer.encode(row.prompt, false, text);
  int64_t prompt = text.count();
  tokenizer.encode(row.completion, !all, text);
  ++notes.rows;
  if (row.completion.empty() && !all) ++notes.empty;
  const bool closed = tokenizer.ends_closed(row.completion);
  const std::optional<int64_t>& eos = tokenizer.spec().eos;
  if (closed && eos) ++notes.closed;
  if (eos && !closed) text.push(*eos);
  int64_t length = text.count();
  const bool begun = !prefix.empty() && begins_with(text.ids, prefix);
  if (begun) ++notes.begun;
  Example example;
  example.line = row.line;
  example.tokens = std::move(text.ids);
  if (!begun) {
    example.tokens.insert(example.tokens.begin(), prefix.begin(), prefix.end());
    length += std::ssize(prefix);
    prompt += std::ssize(prefix);
  }
  if (length > most) example.length = length;
  if (std::ssize(example.tokens) > most) example.tokens.resize(most);
  example.labels = example.tokens;
  if (!all) std::fill_n(example.labels.begin(), std::min(prompt, std::ssize(example.labels)), no_target);
  return example;
}

Example encode_labelled(const Tokenizer& tokenizer, const Row& row, const LabelSet& labels,
                        int64_t max_length) {
  check(
      labels.several || !row.lists_classes, ErrorKind::invalid,
      "{}: a list of labels, where each text has one (problem_type multi_label_classification in the model's "
      "config.json allows several)",
      row.where);
  Example example =
      text_example(row, tokenizer, max_length > 0 ? max_length : std::numeric_limits<int64_t>::max() / 2);
  if (labels.several) {
    example.classes = row.lists_classes ? labels.classes_of(row.classes, row.where)
                                        : labels.classes_of(std::span(&row.label, 1), row.where);
    example.label = static_cast<double>(example.classes.size());
  } else {
    example.label = labels.value_of(row.label, row.where);
  }
  return example;
}

}  // namespace lowrank
