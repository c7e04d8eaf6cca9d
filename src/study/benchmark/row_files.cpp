#include "study/benchmark/row_files.h"

#include "base/error.h"
#include "base/json.h"
#include "data/conversations/targets.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

bool suits(RowFormat format, Answer answer) {
  const bool labelled = format == RowFormat::labelled;
  switch (answer) {
    case Answer::text:
      return !labelled && format != RowFormat::text && format != RowFormat::tokenised;
    case Answer::label:
    case Answer::number:
      return labelled;
    case Answer::loss:
      return !labelled;
  }
  return false;
}

std::string_view wanted(Answer answer) {
  switch (answer) {
    case Answer::text:
      return "rows with a prompt or a conversation, whose answers are generated";
    case Answer::label:
    case Answer::number:
      return "rows with text (or sentence1 and sentence2) and label";
    case Answer::loss:
      break;
  }
  return "rows of text, of prompt and completion, or conversations";
}

/// The text of an answer at the end of a conversation; empty if there is none.
std::string last_answer(const ConversationRow& row, const Conversation& asked) {
  const Json& messages = row.conversation.messages;
  if (asked.messages.size() >= messages.size()) return {};
  const Json content = messages.back().value("content", Json(""));
  return content.is_string() ? content.get<std::string>() : json_text(content);
}

std::vector<std::string> given_references(const Json& row, const std::string& where) {
  const auto found = row.find("references");
  if (found == row.end() || found->is_null()) return {};
  check(found->is_array() && !found->empty(), ErrorKind::invalid,
        "{}: \"references\" must be a list of texts that is not empty", where);
  std::vector<std::string> references;
  for (const Json& reference : *found) {
    check(reference.is_string(), ErrorKind::invalid, "{}: \"references\" has an entry that is no text",
          where);
    references.push_back(reference.get<std::string>());
  }
  return references;
}

BenchmarkRow row_of(const Row& row, const Json& fields) {
  BenchmarkRow result{fields, row.prompt, given_references(fields, row.where)};
  std::string own = row.completion;
  if (row.conversation) {
    const Conversation asked = before_answer(*row.conversation);
    result.group = json_text(asked.messages) + json_text(asked.tools);
    own = last_answer(*row.conversation, asked);
  } else if (row.format == RowFormat::labelled) {
    result.group = row.completion + '\t' + row.second.value_or("");
    own = row.label;
  } else if (row.format == RowFormat::text) {
    result.group = row.completion;
    return result;
  } else if (row.format == RowFormat::tokenised) {
    result.group = fields.contains("input_ids") ? json_text(fields["input_ids"]) : "";
    return result;
  }
  if (result.references.empty()) result.references.push_back(std::move(own));
  return result;
}

}  // namespace

BenchmarkRows rows_of_file(const std::filesystem::path& path, const RowOptions& options, Answer answer,
                           bool only_conversations) {
  return [=, path = path.string()](const std::function<void(BenchmarkRow)>& take) {
    read_rows(path, options, [&](const Row& row, const Json& fields) {
      check(suits(row.format, answer), ErrorKind::invalid,
            "{}: a row of the format {}, where the benchmark needs {}", row.where, row.format_name,
            wanted(answer));
      check(row.conversation || !only_conversations, ErrorKind::invalid,
            "{}: a row of the format {}, where the benchmark needs conversations", row.where,
            row.format_name);
      check(!row.lists_classes, ErrorKind::unsupported,
            "{}: a list of labels, where a benchmark's rows have one each", row.where);
      take(row_of(row, fields));
    });
  };
}

}  // namespace lowrank
