#include "data/row_fields.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<const char*, 3> chats{"messages", "conversations", "conversation"};

/// A field that changes what a row means, and the formats that do not read it.
struct Unread {
  const char* key;
  bool prompt, text, alpaca, tokenised, labelled;
};
constexpr std::array<Unread, 19> unread{{
    {"system", true, true, true, false, false},        {"system_prompt", true, true, true, false, false},
    {"history", true, true, true, false, false},       {"context", true, false, true, false, true},
    {"messages", true, false, true, false, false},     {"conversations", true, false, true, false, false},
    {"conversation", true, false, true, false, false}, {"chosen", true, true, true, true, false},
    {"rejected", true, true, true, true, false},       {"tools", true, true, true, false, false},
    {"text_pair", false, true, false, false, true},    {"image", true, true, true, true, true},
    {"images", true, true, true, true, true},          {"audio", true, true, true, true, true},
    {"videos", true, true, true, true, true},          {"pixel_values", true, true, true, true, true},
    {"loss_weight", true, true, true, true, true},     {"sample_weight", true, true, true, true, true},
    {"seq_lengths", false, false, false, true, false},
}};

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
      return field.labelled;
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

}  // namespace

bool has_field(const Json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end() || found->is_null()) return false;
  const bool empty_text = found->is_string() && found->get_ref<const std::string&>().empty();
  return !empty_text && !(found->is_structured() && found->empty());
}

void check_unread_fields(const Json& row, RowFormat format, const std::string& where) {
  for (const Unread& field : unread) {
    if (!concerns(field, format) || !has_field(row, field.key)) continue;
    if (stands_in_prompt(row, row[field.key])) continue;
    fail(ErrorKind::invalid,
         "{}: \"{}\" is not read in rows of this kind, and without it the row means something else; put it "
         "into "
         "the text, or drop it with `columns` FIELD=FIELD,..., which reads the named fields alone",
         where, field.key);
  }
}

std::string advice_for(const Json& row) {
  for (const char* chat : chats) {
    if (row.contains(chat)) {
      return fmt::format(
          "chat rows (\"{}\") are not supported yet; write each answer as a row with prompt and completion, "
          "the prompt rendered by the model's chat template",
          chat);
    }
  }
  if (row.contains("chosen") || row.contains("rejected")) {
    return "pairs of \"chosen\" and \"rejected\" are not supported; `columns` "
           "prompt=prompt,completion=chosen "
           "trains on the chosen answers alone";
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
      "no known fields ({}); rows have prompt and completion, text, instruction and output, or input_ids; "
      "`columns` prompt=NAME,completion=NAME gives them other names, `columns` text=1,label=2 names the "
      "columns of a table without header",
      fmt::join(keys, ", "));
}

}  // namespace lowrank
