#include "session/asked/prompt_rows.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/log.h"
#include "data/dataset.h"
#include "tokenizer/jinja/values/render_limit.h"

namespace lowrank {
namespace {

/// The ids after which the model goes on with a conversation.
std::vector<int64_t> asked_ids(const Row& row, const ChatFormat& format, ChatNotes& notes) try {
  return format.prompt(before_answer(*row.conversation), notes);
} catch (const Error& error) {
  throw_reworded(error, fmt::format("{}: {}", row.where, error.what()));
}

}  // namespace

PromptRows read_prompt_rows(const Tokenizer& tokenizer, const PromptRowOptions& options) {
  PromptRows prompts;
  ChatNotes notes;
  const auto chat = chat_format_on_demand(options.model, options.adapter, tokenizer, options.chat);
  read_rows(options.data, {options.format, options.columns, false},
            [&](const Row& row, const nlohmann::ordered_json& json) {
              check(row.conversation || row.format == RowFormat::prompt_completion ||
                        row.format == RowFormat::alpaca,
                    ErrorKind::invalid, "{}: the row has no prompt", row.where);
              if (row.conversation) {
                const ChatFormat& format = chat(!row.conversation->conversation.tools.is_null());
                prompts.ids.push_back(asked_ids(row, format, notes));
                prompts.end_tokens = format.end_tokens();
              } else {
                prompts.ids.push_back(encode_prompt(tokenizer, row.prompt));
              }
              prompts.rows.push_back(json);
              prompts.where.push_back(row.where);
              prompts.adapters.push_back(row.adapter);
            });
  for (const std::string& note : notes.warnings()) warn("{}", note);
  return prompts;
}

void check_prompt_lengths(const PromptRows& prompts, int64_t room) {
  constexpr size_t shown = 5;
  std::vector<std::string> problems;
  for (size_t i = 0; i < prompts.ids.size(); ++i) {
    const int64_t length = std::ssize(prompts.ids[i]);
    if (length == 0) problems.push_back(fmt::format("{}: the prompt has no tokens", prompts.where[i]));
    if (length >= room)
      problems.push_back(fmt::format("{}: the prompt has {} tokens, the model's context {}", prompts.where[i],
                                     length, room));
  }
  if (problems.empty()) return;
  const std::string more =
      problems.size() > shown ? fmt::format("; and {} more", problems.size() - shown) : "";
  problems.resize(std::min(problems.size(), shown));
  fail(ErrorKind::invalid, "{}{}", fmt::join(problems, "; "), more);
}

}  // namespace lowrank
