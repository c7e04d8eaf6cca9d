#pragma once

#include <cstdint>
#include <optional>

#include "tokenizer/chat/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// The token with which the template ends an answer: the first added token after the answer's text in a
/// rendered probe, other than blanks. If nothing follows the text (GLM-4), the first added token of the next
/// header, which then ends a generation. Nothing if the template has neither, or refuses the probe.
std::optional<int64_t> end_of_turn(const ChatTemplate& chat, const Tokenizer& tokenizer,
                                   const RenderOptions& options = {});

}  // namespace lowrank
