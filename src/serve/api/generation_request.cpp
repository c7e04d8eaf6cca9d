#include "serve/api/generation_request.h"

#include <charconv>
#include <limits>
#include <system_error>

#include "base/error.h"
#include "base/one_line.h"
#include "data/conversations/conversation_row.h"
#include "serve/api/refusal.h"
#include "serve/api/unsupported.h"

namespace lowrank::serve {
namespace {

constexpr int64_t most_stops = 16;
constexpr size_t longest_stop = 256;
constexpr int64_t most_top_logprobs = 20;
constexpr int64_t int32_max = std::numeric_limits<int32_t>::max();
constexpr int64_t largest_seed = (int64_t{1} << 53) - 1;  // what JavaScript counts exactly

void read_sampling(const Parameters& given, const RequestLimits& limits, GenerationRequest& request) {
  SamplingOptions& sampling = request.sampling = limits.sampling;
  const auto number = [&](const char* name, double low, double high, double& value) {
    value = given.number(name, low, high).value_or(value);
  };
  constexpr double hottest = 2, smallest = 1e-6;
  number("temperature", 0, hottest, sampling.temperature);
  number("top_p", smallest, 1, sampling.top_p);
  number("min_p", 0, 1, sampling.min_p);
  constexpr double largest_penalty = 100;
  // llama.cpp's name.
  number("repeat_penalty", smallest, largest_penalty, sampling.repetition_penalty);
  number("repetition_penalty", smallest, largest_penalty, sampling.repetition_penalty);
  sampling.top_k = given.integer("top_k", 0, int32_max).value_or(sampling.top_k);
  const auto seed = given.integer("seed", 0, largest_seed);
  request.has_seed = seed.has_value();
  if (request.has_seed) sampling.seed = *seed;
}

/// `logit_bias`: an object with token ids as keys.
void read_bias(const Parameters& given, const RequestLimits& limits, LogitAdjustments& adjustments) {
  const Json* bias = given.find("logit_bias");
  if (!bias) return;
  constexpr size_t most = 1024;
  constexpr double largest = 100;
  if (!bias->is_object()) refuse("logit_bias", "`logit_bias` must be an object of token ids and numbers");
  if (bias->size() > most) refuse("logit_bias", "`logit_bias` has more than {} tokens", most);
  const Parameters values(*bias, "logit_bias");
  for (const auto& [key, value] : bias->items()) {
    int64_t token = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (error != std::errc() || end != key.data() + key.size() || token < 0 || token >= limits.vocabulary)
      refuse("logit_bias", "`logit_bias` names {}, which is no token below {}", in_quotes(key),
             limits.vocabulary);
    if (const auto amount = values.number(key, -largest, largest))
      adjustments.bias.emplace_back(token, *amount);
  }
}

void read_adjustments(const Parameters& given, const RequestLimits& limits, LogitAdjustments& adjustments) {
  constexpr double most = 2;
  adjustments.presence_penalty = given.number("presence_penalty", -most, most).value_or(0);
  adjustments.frequency_penalty = given.number("frequency_penalty", -most, most).value_or(0);
  read_bias(given, limits, adjustments);
}

void read_stops(const Parameters& given, const RequestLimits& limits, GenerationRequest& request) {
  for (std::string& text : given.texts("stop", most_stops)) {
    if (text.size() > longest_stop)
      refuse("stop", "`stop` has a text of {} bytes; at most {} are taken", text.size(), longest_stop);
    if (text.empty()) refuse("stop", "`stop` has an empty text");
    request.stop.push_back(std::move(text));
  }
  if (const Json* list = given.find("stop_token_ids"))
    request.stop_tokens = given.tokens("stop_token_ids", *list, most_stops, limits.vocabulary);
  request.ignore_eos = given.flag("ignore_eos").value_or(false);
}

void read_stream(const Parameters& given, GenerationRequest& request) {
  request.stream = given.flag("stream").value_or(false);
  const Json* options = given.find("stream_options");
  if (!options) return;
  if (!request.stream) refuse("stream_options", "`stream_options` is for `stream`");
  request.include_usage = Parameters(*options, "stream_options").flag("include_usage").value_or(false);
}

void read_lora(const Parameters& given, GenerationRequest& request) {
  const Json* list = given.find("lora");
  if (!list) return;
  request.has_lora = true;
  if (!list->is_array()) refuse("lora", "`lora` must be a list of {{\"id\", \"scale\"}}");
  constexpr size_t most = 10'000;
  if (list->size() > most) refuse("lora", "`lora` has more than {} entries", most);
  for (const Json& entry : *list) {
    const Parameters one(entry, "lora");
    one.require("id");
    const ChosenAdapter chosen{*one.integer("id", 0, int32_max),
                               one.number("scale", -1000, 1000).value_or(1)};
    if (chosen.scale == 0) continue;
    if (request.lora) refuse("lora", "`lora` chooses two adapters; a request has one");
    request.lora = chosen;
  }
}

GenerationRequest common(const Parameters& given, const RequestLimits& limits) {
  refuse_unsupported(given);
  GenerationRequest request;
  given.require("model");
  request.model = *given.text("model");
  (void)given.text("user");
  request.n = given.integer("n", 1, limits.most_choices).value_or(1);
  if (const auto best_of = given.integer("best_of", 1, limits.most_choices); best_of && *best_of != request.n)
    refuse("best_of", "`best_of` is not supported but for the value of `n`");
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {
    if (const auto most = given.integer(name, 1, int32_max)) request.max_tokens = *most;
  }
  // llama.cpp's switch for its cache.
  request.share_prefix = given.flag("cache_prompt").value_or(true);
  read_sampling(given, limits, request);
  read_adjustments(given, limits, request.adjustments);
  read_stops(given, limits, request);
  read_stream(given, request);
  read_lora(given, request);
  return request;
}

void read_prompt(const Parameters& given, const RequestLimits& limits, GenerationRequest& request) {
  given.require("prompt");
  const Json& prompt = *given.find("prompt");
  const auto most = static_cast<size_t>(limits.most_tokens);
  const auto most_prompts = static_cast<size_t>(limits.most_choices);
  const bool of_lists = prompt.is_array() && !prompt.empty() && prompt.front().is_array();
  const bool of_numbers = prompt.is_array() && !prompt.empty() && is_number(prompt.front());
  if (of_numbers) {
    request.ids.push_back(given.tokens("prompt", prompt, most, limits.vocabulary));
  } else if (of_lists) {
    if (prompt.size() > most_prompts)
      refuse("prompt", "`prompt` has {} prompts; at most {} are taken", prompt.size(), most_prompts);
    for (const Json& one : prompt)
      request.ids.push_back(given.tokens("prompt", one, most, limits.vocabulary));
  } else {
    request.texts = given.texts("prompt", most_prompts);
  }
  if (request.texts.empty() && request.ids.empty()) refuse("prompt", "`prompt` is empty");
  for (const std::vector<int64_t>& ids : request.ids) {
    if (ids.empty()) refuse("prompt", "`prompt` has a list without token ids");
  }
}

}  // namespace

Conversation conversation_of(const Parameters& given) {
  given.require("messages");
  const Json& messages = *given.find("messages");
  if (!messages.is_array() || messages.empty()) refuse("messages", "`messages` must be a list of messages");
  for (const Json& message : messages) Parameters(message, "messages").require("role");
  Json row = Json::object();
  for (const char* key : {"messages", "tools", "documents", "chat_template_kwargs"}) {
    const Json* found = given.find(key);
    if (!found) continue;
    const bool object = std::string_view(key) == "chat_template_kwargs";
    if (object ? !found->is_object() : !found->is_array())
      refuse(key, "`{}` must be {}", key, object ? "an object" : "a list");
    row[key] = *found;
  }
  // "none": the model does not see the tools.
  if (const Json* choice = given.find("tool_choice"); choice && *choice == "none") row.erase("tools");
  try {
    Conversation conversation =
        read_conversation(row, ConversationShape::messages, false, "the request").conversation;
    if (const auto effort = given.text("reasoning_effort")) conversation.extra["reasoning_effort"] = *effort;
    return conversation;
  } catch (const Error& error) {
    throw Refusal(400, error.what(), "messages");
  }
}

GenerationRequest chat_request(std::string_view body, const RequestLimits& limits) {
  const Parameters given(body);
  GenerationRequest request = common(given, limits);
  const auto top = given.integer("top_logprobs", 0, most_top_logprobs);
  const bool wanted = given.flag("logprobs").value_or(false);
  if (top.value_or(0) > 0 && !wanted) refuse("top_logprobs", "`top_logprobs` needs `logprobs`: true");
  if (wanted) request.top_logprobs = top.value_or(0);
  if (given.flag("echo") == true) refuse("echo", "`echo` is for /v1/completions");
  request.conversation = conversation_of(given);
  const Json& last = request.conversation.messages.back();
  const bool continues = last.value("role", Json()) == "assistant";
  // The text goes on in the assistant's last message, or a new one begins.
  for (const auto& [name, holds] :
       {std::pair{"continue_final_message", continues}, std::pair{"add_generation_prompt", !continues}}) {
    if (given.flag(name).value_or(holds) != holds)
      refuse(name, "`{}` must be {} here: the last message is {}", name, holds,
             continues ? "the assistant's, which is continued" : "not the assistant's");
  }
  return request;
}

GenerationRequest completion_request(std::string_view body, const RequestLimits& limits) {
  const Parameters given(body);
  GenerationRequest request = common(given, limits);
  constexpr int64_t usual_tokens = 16;
  if (!request.max_tokens) request.max_tokens = usual_tokens;
  request.top_logprobs = given.integer("logprobs", 0, most_top_logprobs).value_or(-1);
  request.echo = given.flag("echo").value_or(false);
  if (request.echo && request.top_logprobs >= 0)
    refuse("logprobs", "`logprobs` of a prompt that is echoed are not supported; leave `echo` out");
  read_prompt(given, limits, request);
  if (request.n * (std::ssize(request.texts) + std::ssize(request.ids)) > limits.most_choices)
    refuse("n", "`n` times the prompts is more than {}", limits.most_choices);
  return request;
}

}  // namespace lowrank::serve
