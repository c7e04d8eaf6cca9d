#include "data/rows/row_fields.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/one_line.h"
#include "data/conversations/content.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

/// A field that changes what a row means, and the formats that do not read it.
struct Unread {
  std::string_view key;
  bool prompt, text, alpaca, tokenised, labelled, conversation;
};
constexpr std::array<Unread, 27> unread{{
    {"system", true, true, true, false, false, false},
    {"system_prompt", true, true, true, false, false, true},
    {"history", true, true, true, false, false, true},
    {"context", true, false, true, false, true, true},
    {"messages", true, false, true, false, false, true},
    {"conversations", true, false, true, false, false, true},
    {"conversation", true, false, true, false, false, true},
    {"chosen", true, true, true, true, false, true},
    {"rejected", true, true, true, true, false, true},
    {"preferred_output", true, true, true, true, false, true},
    {"tools", true, true, true, false, false, false},
    {"prompt", false, false, false, false, false, true},
    {"completion", false, false, false, false, false, true},
    {"instruction", false, false, false, false, false, true},
    {"output", false, false, false, false, false, true},
    {"response", false, false, false, false, false, true},
    {"kto_tag", true, false, true, false, false, true},
    {"text_pair", false, true, false, false, false, true},
    {"image", true, true, true, true, true, true},
    {"images", true, true, true, true, true, true},
    {"audio", true, true, true, true, true, true},
    {"videos", true, true, true, true, true, true},
    {"pixel_values", true, true, true, true, true, true},
    {"loss_weight", true, true, true, true, true, true},
    {"sample_weight", true, true, true, true, true, true},
    {"seq_lengths", false, false, false, true, false, false},
}};

/// The fields of the table that one form of conversations reads, unlike the others.
bool reads(RowFormat format, std::string_view key) {
  if (format == RowFormat::prompt_messages) return key == "prompt" || key == "completion";
  if (format == RowFormat::alpaca_chat) return key == "instruction" || key == "output" || key == "history";
  return key == "messages" || key == "conversations" || key == "conversation";
}

bool concerns(const Unread& field, RowFormat format) {
  switch (format) {
    case RowFormat::prompt_completion:
      return field.prompt;
    case RowFormat::text:
      return field.text;
    case RowFormat::alpaca:
      return field.alpaca;
    case RowFormat::tokenised:
      return field.tokenised;
    case RowFormat::labelled:
    case RowFormat::pairs:
    case RowFormat::scores:
      return field.labelled;
    case RowFormat::messages:
    case RowFormat::prompt_messages:
    case RowFormat::alpaca_chat:
      return field.conversation && !reads(format, field.key);
  }
  return false;
}

/// A prompt that already contains the field's text does not need the field.
bool stands_in_prompt(const Json& row, const Json& value) {
  for (const char* key : {"prompt", "instruction", "text"}) {
    const auto found = row.find(key);
    const bool texts = found != row.end() && found->is_string() && value.is_string();
    if (texts &&
        found->get_ref<const std::string&>().find(value.get_ref<const std::string&>()) != std::string::npos)
      return true;
  }
  return false;
}

/// A conversation that already has the field's text in a message does not need the field.
bool stands_in_message(const ConversationRow& row, const Json& value) {
  return value.is_string() && std::ranges::any_of(row.conversation.messages, [&](const Json& message) {
           const auto content = message.find("content");
           return content != message.end() && content_holds(*content, value.get_ref<const std::string&>());
         });
}

std::string_view remedy(const Unread& field, RowFormat format) {
  const bool turns = field.key == "system" || field.key == "history" || field.key == "tools";
  if (format == RowFormat::alpaca && turns)
    return "`format` alpaca-chat reads all rows as conversations, with this field";
  return is_conversation(format)
             ? "put it into the messages, or drop it with `columns` FIELD=FIELD,..., which reads the named "
               "fields alone"
             : "put it into the text, or drop it with `columns` FIELD=FIELD,..., which reads the named "
               "fields "
               "alone";
}

}  // namespace

bool has_field(const Json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end() || found->is_null()) return false;
  const bool empty_text = found->is_string() && found->get_ref<const std::string&>().empty();
  return !empty_text && !(found->is_structured() && found->empty());
}

void check_unread_fields(const Json& json, const Row& row) {
  for (const Unread& field : unread) {
    if (!concerns(field, row.format) || !has_field(json, field.key.data())) continue;
    const Json& value = json[field.key.data()];
    if (row.conversation ? stands_in_message(*row.conversation, value) : stands_in_prompt(json, value))
      continue;
    fail(ErrorKind::invalid,
         "{}: \"{}\" is not read in rows of this kind, and without it the row means something else; {}",
         row.where, field.key, remedy(field, row.format));
  }
  const auto label = json.find("label");
  const bool judged = row.conversation || row.format == RowFormat::prompt_completion;
  check(
      !judged || label == json.end() || !label->is_boolean(), ErrorKind::unsupported,
      "{}: \"label\" says whether the answer is a good one, and such rows are not supported; write the good "
      "ones alone, without it",
      row.where);
}

std::string advice_for(const Json& row) {
  if (row.contains("chosen") || row.contains("rejected")) {
    return "pairs of \"chosen\" and \"rejected\" are not supported; `columns` "
           "prompt=prompt,completion=chosen "
           "trains on the chosen answers alone";
  }
  if (row.contains("completion") && !row.contains("prompt"))
    return "the row has a \"completion\" and no \"prompt\"; rows of answers alone are written as "
           "\"messages\", "
           "or as \"text\"";
  for (const char* key : {"messages", "conversations", "conversation"}) {
    if (const auto found = row.find(key); found != row.end() && found->is_null())
      return fmt::format("\"{}\" is null, and the row has no other field that is read", key);
  }
  std::vector<std::string> keys;
  for (const auto& [key, value] : row.items()) {
    if (keys.size() == 8) {
      keys.emplace_back("…");
      break;
    }
    keys.push_back(in_quotes(key, 40));
  }
  return fmt::format(
      "no known fields ({}); rows have messages, prompt and completion, text, instruction and "
      "output, or input_ids; "
      "`columns` prompt=NAME,completion=NAME gives them other names, `columns` text=1,label=2 names the "
      "columns of a table without header",
      fmt::join(keys, ", "));
}

}  // namespace lowrank
