#pragma once

#include <cstdint>
#include <optional>

#include "tokenizer/chat/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// How a template takes the content of a message.
enum class ContentShape {
  text,   ///< as a string
  parts,  ///< as a list of {"type": "text", "text"}
};

/// The shape in which a template shows a message's text, found by rendering a question in each; `text` if the
/// template refuses both. Errors: invalid if it renders a question without its text.
ContentShape content_shape(const ChatTemplate& chat, const RenderOptions& options = {});

/// The message with its content in this shape: texts become one part, text parts are joined to one text.
/// Parts that are no text are left as they are.
nlohmann::ordered_json in_shape(nlohmann::ordered_json message, ContentShape shape);

/// The token with which the template ends an answer: the first added token after the answer's text in a
/// rendered probe, other than blanks. If nothing follows the text (GLM-4), the first added token of the next
/// header, which then ends a generation. Nothing if the template has neither, or refuses the probe.
std::optional<int64_t> end_of_turn(const ChatTemplate& chat, const Tokenizer& tokenizer,
                                   const RenderOptions& options = {});

}  // namespace lowrank
