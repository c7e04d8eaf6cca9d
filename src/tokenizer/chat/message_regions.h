#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "tokenizer/jinja/rendering.h"

namespace lowrank {

/// The bytes of a span.
inline std::string_view piece(std::string_view text, jinja::Span span) {
  return text.substr(span.begin, span.end - span.begin);
}

/// What the outermost iteration over a message wrote.
struct MessageRegion {
  int64_t message = 0;  ///< index among the messages
  jinja::Span span;     ///< bytes of the text, not empty
};

/// The regions of a rendering, in the order of the text; they do not overlap. Iterations inside a region (a
/// look at the tool results that follow, say) are parts of it.
std::vector<MessageRegion> message_regions(const jinja::Rendering& rendering);

/// Those of one message.
std::vector<jinja::Span> regions_of(const std::vector<MessageRegion>& regions, int64_t message);

/// The parts of a range that belong to the message whose region holds it: without bytes that come from other
/// messages, and without what iterations over other messages wrote.
std::vector<jinja::Span> own_parts(const jinja::Rendering& rendering, int64_t message, jinja::Span range);

/// Whether the assistant speaks a message.
bool is_assistant(const nlohmann::ordered_json& message);

/// The name of a tool call that a text of the message does not show: it has the function's name no more often
/// than the message's own words do. Empty if it shows all.
std::string lost_call(const nlohmann::ordered_json& message, std::string_view text);

/// Whether a message's content, a string or parts, has more than white space.
bool has_text(const nlohmann::ordered_json& message);

}  // namespace lowrank
