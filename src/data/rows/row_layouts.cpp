#include "data/rows/row_layouts.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "data/rows/row_fields.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

template <const char* const& key>
bool has(const Json& row) {
  return row.contains(key);
}
constexpr const char* ids = "input_ids";
constexpr const char* prompt = "prompt";
constexpr const char* instruction = "instruction";
constexpr const char* text = "text";
constexpr const char* anchor = "anchor";

bool is_list(const Json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_array();
}

bool has_messages(const Json& row) {
  return message_list_key(row) != nullptr;
}

bool named_messages(const Json& row) {
  return has_messages(row) && std::string_view(message_list_key(row)) == "messages";
}

bool has_message_prompt(const Json& row) {
  return row.contains(prompt) && (is_list(row, prompt) || is_list(row, "completion"));
}

/// Fields beside an instruction that only a conversation can hold.
bool is_alpaca_chat(const Json& row) {
  return row.contains(instruction) &&
         (has_field(row, "system") || has_field(row, "history") || has_field(row, "tools"));
}

bool has_labelled_text(const Json& row) {
  return row.contains(text) || row.contains("sentence1");
}

bool has_two_sentences(const Json& row) {
  return row.contains("sentence1") && row.contains("sentence2");
}

bool has_scored_sentences(const Json& row) {
  return has_two_sentences(row) && row.contains("score") && !row.contains("label");
}

bool never(const Json&) {
  return false;
}

// Checked in order: a row with both ids and text is tokenised, one with messages and their rendered text is a
// conversation. Labels are read only if the format is given by name.
constexpr std::array<RowLayout, 11> layouts{{
    {"tokenised", RowFormat::tokenised, has<ids>, has<ids>},
    {"messages", RowFormat::messages, has_messages, named_messages},
    {"sharegpt", RowFormat::messages, has_messages, has_messages},
    {"prompt", RowFormat::prompt_messages, has<prompt>, has_message_prompt},
    {"prompt", RowFormat::prompt_completion, has<prompt>, has<prompt>},
    {"alpaca-chat", RowFormat::alpaca_chat, has<instruction>, is_alpaca_chat},
    {"alpaca", RowFormat::alpaca, has<instruction>, has<instruction>},
    {"text", RowFormat::text, has<text>, has<text>},
    {"pairs", RowFormat::pairs, has<anchor>, has<anchor>},
    {"scores", RowFormat::scores, has_two_sentences, has_scored_sentences},
    {"label", RowFormat::labelled, has_labelled_text, never},
}};

}  // namespace

const RowLayout* detected_layout(const Json& row) {
  const auto found =
      std::ranges::find_if(layouts, [&](const RowLayout& layout) { return layout.decides(row); });
  return found == layouts.end() ? nullptr : &*found;
}

void check_layout_name(std::string_view name) {
  check(std::ranges::find(layouts, name, &RowLayout::name) != layouts.end(), ErrorKind::invalid,
        "the data format '{}' is not known; known are prompt, text, messages, sharegpt, alpaca, alpaca-chat, "
        "tokenised, label, pairs, scores",
        name);
}

const RowLayout& named_layout(std::string_view name, const Json& row) {
  const RowLayout* chosen = nullptr;
  for (const RowLayout& layout : layouts) {
    if (layout.name != name) continue;
    chosen = &layout;
    if (layout.decides(row)) break;
  }
  check(chosen != nullptr, ErrorKind::invalid, "the data format '{}' is not known", name);
  return *chosen;
}

}  // namespace lowrank
