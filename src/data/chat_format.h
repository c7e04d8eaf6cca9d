#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/fingerprint.h"
#include "tokenizer/chat/chat_template.h"
#include "tokenizer/chat/chat_turns.h"
#include "tokenizer/chat/content_shape.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// What was noticed in the conversations of a run.
struct ChatNotes {
  int64_t conversations = 0;
  int64_t special_tokens = 0;  ///< in the messages' own texts, where they act as control tokens
  std::string special_text;    ///< the first of them
  int64_t lost_texts = 0;      ///< messages other than answers whose text the template leaves out
  std::string lost_role;       ///< of the first of them
  std::map<std::string, int64_t> lost_parts;  ///< "tools", "tool calls", ...: conversations whose template
                                              ///< leaves them out
  int64_t open_answers = 0;                   ///< learned answers that do not end with a special token

  /// Adds the counts of other rows.
  void add(const ChatNotes& others);
  /// A sentence for each thing noticed.
  std::vector<std::string> warnings() const;
};

/// How a model holds a conversation: its chat template and its tokenizer, which must outlive this value.
class ChatFormat {
 public:
  /// `variables` of the template (an object) hold for conversations that do not set them themselves; `now` is
  /// what the template's clock shows. Errors: as content_shape.
  ChatFormat(ChatTemplate chat, const Tokenizer& tokenizer,
             nlohmann::ordered_json variables = nlohmann::ordered_json::object(),
             jinja::CalendarTime now = jinja::present_time());

  /// The ids after which the model answers: the rendered conversation with the header of an answer, encoded
  /// without further special tokens, as transformers encodes it. If the last message is the assistant's, the
  /// ids end where its content ends, and the model goes on with it. Adds to `notes`. `inspect` is called with
  /// the text before it is encoded, which takes seconds for megabytes, and may refuse it with an error.
  /// Errors: invalid for a conversation without messages; as ChatTemplate::render.
  std::vector<int64_t> prompt(const Conversation& conversation, ChatNotes& notes,
                              const std::function<void(std::string_view text)>& inspect = nullptr) const;

  /// The conversation in a form that the template renders, with the variables.
  Conversation prepared(Conversation conversation) const;

  /// A prepared conversation as text. Adds to `notes`. Errors: as `prompt`.
  Rendering render(const Conversation& conversation, ChatNotes& notes) const;

  /// The answers of a prepared conversation in its rendering. Errors: as TurnFinder::turns.
  std::vector<AssistantTurn> answers(const Conversation& conversation, const Rendering& rendering) const {
    return finder_.turns(conversation, rendering);
  }
  /// As TurnFinder::own_text.
  std::vector<jinja::Span> own_text(const Conversation& conversation, const Rendering& rendering,
                                    int64_t message) const {
    return finder_.own_text(conversation, rendering, message);
  }
  /// Whether an answer's text ends with a special token.
  bool is_ended(std::string_view answer) const { return finder_.ends_in_special_token(answer); }

  /// Tokens that end an answer beside the tokenizer's own end tokens; empty if the template ends it with
  /// none.
  const std::vector<int64_t>& end_tokens() const { return end_tokens_; }

  const ChatTemplate& chat_template() const { return template_; }

  /// Adds what renderings depend on beside the conversations and the tokenizer: the template, its variables,
  /// and the date and time if it reads them.
  void add_to(Fingerprint& all) const;
  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  Rendering rendered(const Conversation& conversation, const RenderOptions& options) const;
  void note(const Conversation& conversation, const Rendering& rendering, ChatNotes& notes) const;

  ChatTemplate template_;
  const Tokenizer* tokenizer_;
  AddedTokens special_;
  nlohmann::ordered_json variables_;
  RenderOptions options_;
  ContentShape shape_;
  TurnFinder finder_;
  std::vector<int64_t> end_tokens_;
};

}  // namespace lowrank
