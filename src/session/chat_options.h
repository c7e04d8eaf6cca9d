#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "data/chat_format.h"

namespace lowrank {

/// How a model is talked to through its chat template.
struct ChatOptions {
  std::string chat_template;  ///< a file, or the name of one of the model's templates; empty: chosen
  std::vector<std::string> chat_template_kwargs;  ///< KEY=VALUE each, variables of the template
  std::string chat_date;  ///< YYYY-MM-DD, for templates that show the date; empty: today's
  std::string system;     ///< text of the system message; empty: none

  std::vector<Field> fields();
  /// Whether an option is given that only conversations give a meaning to.
  bool any_given() const { return !chat_template.empty() || !chat_template_kwargs.empty(); }
  /// Those of the template alone, for rows that bring their own system messages.
  std::vector<Field> template_fields();
};

/// The chat format of a model; nothing if it has no template and none is given. An adapter's folder that
/// holds a template comes first if it is the only one of `adapters` (paths). `tokenizer` must outlive the
/// result. Errors: as choose_template, ChatTemplate and ChatFormat.
std::optional<ChatFormat> find_chat_format(const std::string& model, const std::vector<std::string>& adapters,
                                           const Tokenizer& tokenizer, const ChatOptions& options,
                                           bool has_tools = false);

/// The same. Errors: also unsupported for a model without a template.
ChatFormat need_chat_format(const std::string& model, const std::vector<std::string>& adapters,
                            const Tokenizer& tokenizer, const ChatOptions& options, bool has_tools = false);

/// The same, made when the first conversation asks for it, for `DatasetOptions::chat`: one format for
/// conversations with tools, one for others. It may be called by several threads at once. `adapter`: the path
/// of the only adapter; empty: none. `tokenizer` must outlive the result.
std::function<const ChatFormat&(bool has_tools)> chat_format_on_demand(std::string model, std::string adapter,
                                                                       const Tokenizer& tokenizer,
                                                                       ChatOptions options);

/// Warns if an adapter that this program trained, in its folder, learned from plain texts: it expects prompts
/// without a chat template.
void warn_of_plain_rows(const std::string& adapter);

/// Today as `chat_date` gives it.
std::string today();

/// A conversation to begin with: the options' system message, if any, and their variables. Errors: invalid
/// for variables without a name or a value.
Conversation start_of_chat(const ChatOptions& options);

/// The conversation that begins as the options say and goes on with a question.
Conversation question_of(const ChatOptions& options, const std::string& text);

/// A conversation from a file of JSON, or from standard input for "-": a list of messages, or an object with
/// `messages` and perhaps `tools`, `documents` and `chat_template_kwargs`; ShareGPT's form, too. The options'
/// variables come first, their system text stands in front. Errors: as parse_ordered_json and
/// read_conversation; invalid for other keys, more than 64 MB, or two system texts.
Conversation conversation_from_file(const std::string& path, const ChatOptions& options);

}  // namespace lowrank
