#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/chat/chat_template.h"
#include "tokenizer/chat/conversation.h"
#include "tokenizer/steps/added_tokens.h"

namespace lowrank {

/// A turn of the assistant in a rendered conversation: what the model writes itself.
struct AssistantTurn {
  int64_t message = 0;  ///< index among the messages
  /// Bytes of the text, ascending, never empty: the turn with the token that ends it, without the header in
  /// front and without what comes from other messages.
  std::vector<jinja::Span> targets;

  int64_t begin() const { return targets.front().begin; }
  int64_t end() const { return targets.back().end; }
};

/// Finds the assistant's turns in what a template rendered. They come from its {% generation %} blocks, if
/// these wrote something. Else what the loop over the messages wrote in an assistant's iteration is that
/// message's region; it begins with the header that a generation prompt shows, and the rest is the turn.
/// Nothing is searched for in the text of the messages.
class TurnFinder {
 public:
  /// `special_tokens`: the texts of the tokenizer's special tokens. `options`: those of the renderings.
  /// `variables`: what most conversations have as `extra`; the usual header with them is rendered only once.
  TurnFinder(ChatTemplate chat, const std::vector<std::string>& special_tokens, RenderOptions options = {},
             nlohmann::ordered_json variables = nlohmann::ordered_json::object());

  /// The turns of the assistant's messages, in their order. Messages that the template leaves out have none.
  /// Errors: invalid, with the message's number, if its part of the text cannot be told from others.
  std::vector<AssistantTurn> turns(const Conversation& conversation, const Rendering& rendering) const;

  /// What another message than the assistant's says: from its first own word to the token that ends its turn.
  std::vector<jinja::Span> own_text(const Conversation& conversation, const Rendering& rendering,
                                    int64_t message) const;

  /// Whether a turn ends in a special token, white space after it aside.
  bool ends_in_special_token(std::string_view turn) const;

 private:
  AssistantTurn turn_of(const Conversation& conversation, const Rendering& rendering, int64_t message,
                        jinja::Span region, bool first) const;
  int64_t header_length(const Conversation& conversation, int64_t message, std::string_view region,
                        bool first) const;
  std::string generation_prompt(const Conversation& conversation) const;
  int64_t common_header(std::string_view region, std::string_view prompt) const;
  void close(std::vector<jinja::Span>& targets, std::string_view text) const;
  int64_t end_of_special_token(std::string_view text) const;

  ChatTemplate chat_;
  RenderOptions options_;
  AddedTokens special_tokens_;
  std::string beginning_, end_;  ///< texts of bos_token and eos_token; possibly empty
  nlohmann::ordered_json variables_;
  std::string usual_prompt_;  ///< the generation prompt after a single question, with these variables
};

}  // namespace lowrank
