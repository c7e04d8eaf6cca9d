#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/chat/conversation.h"
#include "tokenizer/jinja/rendering.h"
#include "tokenizer/jinja/template.h"
#include "tokenizer/jinja/values/calendar_time.h"

namespace lowrank {

using Rendering = jinja::Rendering;

/// How a conversation is rendered, as transformers' apply_chat_template does.
struct RenderOptions {
  bool add_generation_prompt = false;   ///< the header of the answer to come is added
  bool continue_final_message = false;  ///< the text ends where the last message's content ends
  bool drop_null_keys = true;           ///< a message's keys whose value is null are left out
  std::optional<jinja::CalendarTime> now =
      std::nullopt;                                ///< what `strftime_now` reads; none: the local clock
  int64_t steps = jinja::Template::default_steps;  ///< work that a render may take
};

/// A chat template with the texts of the model's special tokens. Can be used by several threads at once.
class ChatTemplate {
 public:
  /// `special_tokens` are names (`bos_token`) with their texts, those that the model has. Errors: corrupt,
  /// with line and column, when the source is not a template.
  ChatTemplate(std::string source, std::string name,
               std::vector<std::pair<std::string, std::string>> special_tokens);

  /// The conversation as text. Errors: invalid when the template refuses it, for what `raise_exception` says
  /// and when a limit is exceeded (RenderLimit for that of work or memory); always with the template's name,
  /// line and column.
  Rendering render(const Conversation& conversation, const RenderOptions& options = {}) const;

  /// Whether a {% generation %} block is anywhere in the template.
  bool has_generation_blocks() const { return template_.has_generation_blocks(); }

  /// The special tokens' names and texts.
  const std::vector<std::pair<std::string, nlohmann::ordered_json>>& special_tokens() const {
    return special_tokens_;
  }

  /// The text of a special token such as "bos_token"; empty if the model has none.
  std::string special_token(std::string_view name) const;

  const std::string& name() const { return template_.name(); }
  const std::string& source() const { return template_.source(); }

 private:
  jinja::Template template_;
  std::vector<std::pair<std::string, nlohmann::ordered_json>> special_tokens_;
};

}  // namespace lowrank
