#pragma once

#include <cstdint>

#include "data/chat_format.h"
#include "data/conversations/conversation_row.h"
#include "data/conversations/targets.h"
#include "data/encode_row.h"

namespace lowrank {

/// The example of a conversation: it is rendered as a whole and tokenised without further special tokens, as
/// in transformers, and the parts of the text that belong to the messages of `target_messages` are the
/// targets: of an answer, what the model writes itself with the token that ends it. The first `max_length`
/// tokens are kept (0: all). Adds to `notes`. Errors: invalid for what the template refuses, and for answers
/// that it leaves out or that cannot be told from the rest; unsupported: as token_spans.
Example encode_conversation(const ChatFormat& format, const ConversationRow& row, TrainOn train_on,
                            int64_t max_length, ChatNotes& notes);

}  // namespace lowrank
