#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "session/chat_options.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// Which rows a model is asked, and how they become prompts.
struct PromptRowOptions {
  std::string model;    ///< its path, for the chat template
  std::string adapter;  ///< the path of the only one; empty: none, or several
  std::string data;     ///< as read_rows takes it
  std::string format;
  std::vector<std::string> columns;
  ChatOptions chat;
};

/// Rows with prompts, which a model goes on with.
struct PromptRows {
  std::vector<nlohmann::ordered_json> rows;
  std::vector<std::vector<int64_t>> ids;
  std::vector<std::string> where;     ///< file and line of each
  std::vector<std::string> adapters;  ///< named by each row
  std::vector<int64_t> end_tokens;    ///< of the chat template, for conversations
};

/// The rows of `data`: prompts as they are, and conversations up to their last answer through the model's
/// chat template. Errors: as read_rows and ChatFormat::prompt; invalid for rows without a prompt.
PromptRows read_prompt_rows(const Tokenizer& tokenizer, const PromptRowOptions& options);

/// Refuses prompts that are empty or leave no room for a token, listing them together. Errors: invalid.
void check_prompt_lengths(const PromptRows& prompts, int64_t room);

}  // namespace lowrank
