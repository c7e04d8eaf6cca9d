#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/end_of_turn.h"
#include "tokenizer/chat/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// What was noticed in the conversations of a run.
struct ChatNotes {
  int64_t conversations = 0;
  int64_t special_tokens = 0;  ///< in the messages' own texts, where they act as control tokens
  std::string special_text;    ///< the first of them
  int64_t lost_texts = 0;      ///< messages other than answers whose text the template leaves out
  std::string lost_role;       ///< of the first of them

  /// A sentence for each thing noticed.
  std::vector<std::string> warnings() const;
};

/// How a model holds a conversation: its chat template and its tokenizer, which must outlive this value. All
/// renderings see one date, that of the construction.
class ChatFormat {
 public:
  /// Errors: as content_shape.
  ChatFormat(ChatTemplate chat, const Tokenizer& tokenizer);

  /// The ids after which the model answers: the rendered conversation with the header of an answer, encoded
  /// without further special tokens, as transformers encodes it. If the last message is the assistant's, the
  /// ids end where its content ends, and the model goes on with it. Adds to `notes`. Errors: invalid for a
  /// conversation without messages; as ChatTemplate::render.
  std::vector<int64_t> prompt(const Conversation& conversation, ChatNotes& notes) const;

  /// Tokens that end an answer beside the tokenizer's own end tokens; empty if the template ends it with
  /// none.
  const std::vector<int64_t>& end_tokens() const { return end_tokens_; }

  const ChatTemplate& chat_template() const { return template_; }
  const RenderOptions& render_options() const { return options_; }

 private:
  ChatTemplate template_;
  const Tokenizer* tokenizer_;
  AddedTokens special_;
  RenderOptions options_;
  ContentShape shape_;
  std::vector<int64_t> end_tokens_;
};

}  // namespace lowrank
