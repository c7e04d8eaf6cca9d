#pragma once

#include "tokenizer/chat/chat_template.h"
#include "tokenizer/chat/conversation.h"

namespace lowrank {

/// Which forms of content and of tool calls a template renders.
struct ContentShape {
  bool texts = true;             ///< content as one string
  bool parts = false;            ///< content as a list of parts {"type": "text", "text"}
  bool argument_objects = true;  ///< arguments of tool calls as objects rather than as text of JSON
  bool absent = true;            ///< answers without content, which only call tools
};

/// Finds out by rendering a short chat in each form. A template that refuses it in both forms of content is
/// given texts. Errors: invalid if it renders the chat without its text.
ContentShape content_shape(const ChatTemplate& chat, const RenderOptions& options = {});

/// The conversation in a form that the template renders. What it renders already stays as it is, and so do
/// parts that are no text.
Conversation in_shape(Conversation conversation, const ContentShape& shape);

}  // namespace lowrank
