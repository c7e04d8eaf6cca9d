#include "serve/api/text_requests.h"

#include <limits>

#include "serve/api/refusal.h"

namespace lowrank::serve {
namespace {

constexpr size_t most_tokens = 1 << 20;

}  // namespace

EncoderRequest encoder_request(std::string_view body, int64_t vocabulary, int64_t width, size_t most) {
  const Parameters given(body);
  EncoderRequest request;
  given.require("model");
  request.model = *given.text("model");
  (void)given.text("user");
  if (const auto dimensions = given.integer("dimensions", 1, width); dimensions && *dimensions != width)
    refuse("dimensions", "`dimensions`: the model's vectors have {} values", width);
  const std::string format = given.text("encoding_format").value_or("float");
  if (format != "float" && format != "base64")
    refuse("encoding_format", "`encoding_format` must be float or base64");
  request.base64 = format == "base64";
  given.require("input");
  const Json& input = *given.find("input");
  const bool numbers = input.is_array() && !input.empty() && is_number(input.front());
  const bool lists = input.is_array() && !input.empty() && input.front().is_array();
  if (numbers) {
    request.ids.push_back(given.tokens("input", input, most_tokens, vocabulary));
  } else if (lists) {
    if (input.size() > most)
      refuse("input", "`input` has {} texts; at most {} are taken", input.size(), most);
    for (const Json& one : input) request.ids.push_back(given.tokens("input", one, most_tokens, vocabulary));
  } else {
    request.texts = given.texts("input", most);
  }
  if (request.texts.empty() && request.ids.empty()) refuse("input", "`input` is empty");
  for (const std::vector<int64_t>& ids : request.ids) {
    if (ids.empty()) refuse("input", "`input` has a list without token ids");
  }
  return request;
}

TokenizeRequest tokenize_request(std::string_view body) {
  const Parameters given(body);
  TokenizeRequest request;
  request.model = given.text("model").value_or("");
  if (given.has("messages")) {
    request.is_chat = true;
    request.conversation = conversation_of(given);
    return request;
  }
  const char* key = given.has("content") ? "content" : "prompt";
  given.require(key);
  request.text = *given.text(key);
  const char* special = given.has("add_special") ? "add_special" : "add_special_tokens";
  // llama.cpp adds none unless it is told to.
  request.special_tokens = given.flag(special).value_or(key == std::string_view("prompt"));
  return request;
}

std::vector<int64_t> detokenize_request(std::string_view body, int64_t vocabulary) {
  const Parameters given(body);
  given.require("tokens");
  return given.tokens("tokens", *given.find("tokens"), most_tokens, vocabulary);
}

AdapterRequest adapter_request(std::string_view body, bool needs_path) {
  const Parameters given(body);
  given.require("lora_name");
  if (needs_path) given.require("lora_path");
  return {given.text("lora_name").value_or(""), given.text("lora_path").value_or("")};
}

std::vector<ChosenAdapter> adapter_scales(std::string_view body) {
  constexpr double largest = 1000;
  const Json list = parse_body(body);
  if (!list.is_array()) throw Refusal(400, "the body must be a list of {\"id\", \"scale\"}");
  std::vector<ChosenAdapter> scales;
  for (const Json& entry : list) {
    const Parameters one(entry, "adapters");
    one.require("id");
    one.require("scale");
    scales.push_back({*one.integer("id", 0, std::numeric_limits<int32_t>::max()),
                      *one.number("scale", -largest, largest)});
  }
  return scales;
}

}  // namespace lowrank::serve
