// The endpoints that generate text, and those of the tokenizer.
#include <algorithm>
#include <limits>
#include <random>

#include "base/json.h"
#include "base/one_line.h"
#include "data/encode_row.h"
#include "serve/api/answers.h"
#include "serve/api/refusal.h"
#include "serve/api/text_requests.h"
#include "serve/generation_answer.h"
#include "serve/service.h"

namespace lowrank::serve {
namespace {

/// A number that nobody can guess, for identifiers and seeds.
uint64_t random_number() {
  thread_local std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

int64_t random_seed() {
  return static_cast<int64_t>(random_number() & std::numeric_limits<int32_t>::max());
}

/// Bytes of all strings in a value.
size_t text_bytes(const Json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().size();
  size_t bytes = 0;
  if (value.is_structured()) {
    for (const Json& member : value) bytes += text_bytes(member);
  }
  return bytes;
}

std::string identifier(std::string_view prefix) {
  return fmt::format("{}-{:016x}{:016x}", prefix, random_number(), random_number());
}

}  // namespace

void Service::check_length(int64_t tokens, const char* parameter) const {
  if (tokens < served_.context) return;
  throw Refusal(400,
                fmt::format("the prompt has {} tokens, and the model's context {} with the answer", tokens,
                            served_.context),
                parameter, "context_length_exceeded");
}

/// A text that cannot fit is refused before it is encoded, which takes seconds for megabytes.
void Service::check_bytes(size_t bytes, const char* parameter) const {
  if (bytes <= most_bytes_) return;
  throw Refusal(400,
                fmt::format("the prompt has {} bytes: more than fit the model's context of {} tokens", bytes,
                            served_.context),
                parameter, "context_length_exceeded");
}

/// The template adds to the messages' texts: tools, documents, marks around each message.
ChatPrompt Service::chat_prompt(const std::optional<ServedAdapter>& adapter,
                                const Conversation& conversation) const {
  check_bytes(text_bytes(conversation.messages), "messages");
  return served_.formats->prompt(adapter ? &*adapter : nullptr, conversation,
                                 [this](std::string_view text) { check_bytes(text.size(), "messages"); });
}

std::optional<ServedAdapter> Service::adapter_of(const GenerationRequest& request) const {
  const auto named = adapter_of(request.model);
  if (!request.has_lora) return named;
  if (named)
    refuse(
        "lora", "`model` names the adapter {}, and `lora` chooses {}; with `lora`, `model` is the base, {}",
        in_quotes(named->name), request.lora ? fmt::format("the one with id {}", request.lora->id) : "none",
        in_quotes(served_.name));
  if (!request.lora) return std::nullopt;
  auto adapter = served_.adapters.with_id(request.lora->id);
  if (!adapter) refuse("lora", "`lora`: no adapter has the id {}", request.lora->id);
  adapter->scale = request.lora->scale;
  return adapter;
}

EngineRequest Service::engine_request(const GenerationRequest& request, const Prompt& prompt) const {
  check_length(std::ssize(prompt.ids), request.conversation.messages.empty() ? "prompt" : "messages");
  EngineRequest made;
  made.prompt = prompt.ids;
  made.sampling = request.sampling;
  made.max_new_tokens = std::min(request.max_tokens.value_or(options_.max_new_tokens),
                                 served_.context - std::ssize(prompt.ids));
  made.stop = request.stop;
  made.end_tokens = prompt.end_tokens;
  made.end_tokens.insert(made.end_tokens.end(), request.stop_tokens.begin(), request.stop_tokens.end());
  made.ignore_eos = request.ignore_eos;
  made.top_logprobs = request.top_logprobs;
  made.adjustments = request.adjustments;
  made.share_prefix = request.share_prefix;
  return made;
}

void Service::generate(const GenerationRequest& request, const std::vector<Prompt>& prompts, bool is_chat,
                       const Reply& exchange) {
  const auto adapter = adapter_of(request);
  AnswerPlan plan;
  plan.head = {identifier(is_chat ? "chatcmpl" : "cmpl"), adapter ? adapter->name : served_.name,
               unix_seconds(), is_chat};
  plan.choices_per_prompt = request.n;
  plan.stream = request.stream;
  plan.include_usage = request.include_usage;
  if (adapter) {
    plan.failed = [this, name = adapter->name] { note_problem(name); };
    plan.text_for_clients = [adapter = *adapter](const std::string& text) {
      return text_for_clients(adapter, text);
    };
  }
  const auto seed = static_cast<uint64_t>(request.has_seed ? request.sampling.seed : random_seed());
  for (const Prompt& prompt : prompts) {
    for (int64_t i = 0; i < request.n; ++i) {
      EngineRequest one = engine_request(request, prompt);
      if (adapter) one.adapter = adapter->name;
      if (adapter) one.adapter_scale = adapter->scale;
      // Other choices of one prompt, other random numbers.
      one.sampling.seed = static_cast<int64_t>(seed + static_cast<uint64_t>(i));
      plan.requests.push_back(std::move(one));
      if (request.echo) plan.echoes.push_back(prompt.echo);
    }
  }
  std::make_shared<GenerationAnswer>(std::move(plan), exchange, served_.loop, served_.tokenizer, metrics_)
      ->start();
}

/// An adapter that cannot be loaded is not listed from then on.
void Service::note_problem(const std::string& name) {
  for (const AdapterStore::Entry& one : served_.store->entries()) {
    if (one.name == name && !one.problem.empty()) served_.adapters.set_problem(name, one.problem);
  }
}

void Service::chat(const HttpRequest& http, const Reply& exchange) {
  need_generation();
  const GenerationRequest request = chat_request(http.body, options_.limits);
  const auto adapter = adapter_of(request);
  ChatPrompt prompt = chat_prompt(adapter, request.conversation);
  generate(request, {{std::move(prompt.ids), std::move(prompt.end_tokens)}}, true, exchange);
}

void Service::complete(const HttpRequest& http, const Reply& exchange) {
  need_generation();
  const GenerationRequest request = completion_request(http.body, options_.limits);
  std::vector<Prompt> prompts;
  for (const std::string& text : request.texts) {
    check_bytes(text.size(), "prompt");
    prompts.push_back({encode_prompt(served_.tokenizer, text), {}, text});
    if (prompts.back().ids.empty()) refuse("prompt", "`prompt` has a text without tokens");
  }
  for (const std::vector<int64_t>& ids : request.ids)
    prompts.push_back({ids, {}, request.echo ? served_.tokenizer.decode(ids, true) : ""});
  generate(request, prompts, false, exchange);
}

void Service::tokenize(const HttpRequest& http, const Reply& exchange) {
  const TokenizeRequest request = tokenize_request(http.body);
  std::vector<int64_t> ids;
  if (request.is_chat) {
    need_generation();
    const auto adapter = adapter_of(request.model);
    ids = chat_prompt(adapter, request.conversation).ids;
  } else {
    check_bytes(request.text.size(), "prompt");
    ids = served_.tokenizer.encode(request.text, request.special_tokens);
  }
  exchange->answer(
      {200, json_text(Json{{"count", ids.size()}, {"max_model_len", served_.context}, {"tokens", ids}})});
}

void Service::detokenize(const HttpRequest& http, const Reply& exchange) {
  const std::vector<int64_t> ids = detokenize_request(http.body, options_.limits.vocabulary);
  const std::string text = served_.tokenizer.decode(ids, false);
  exchange->answer({200, json_text(Json{{"prompt", text}, {"content", text}})});
}

void Service::embed(const HttpRequest& http, const Reply& exchange) {
  encode_texts(http, exchange, false);
}

void Service::classify(const HttpRequest& http, const Reply& exchange) {
  encode_texts(http, exchange, true);
}

void Service::encode_texts(const HttpRequest& http, const Reply& exchange, bool labels) {
  if (!served_.encoder)
    throw Refusal(400, "the model is a causal language model; /v1/embeddings and /classify are for encoders");
  const EncoderWork& encoder = *served_.encoder;
  if (labels && !encoder.classify) throw Refusal(400, "the model has no label head");
  constexpr size_t most_texts = 2048;
  EncoderRequest request = encoder_request(http.body, options_.limits.vocabulary, encoder.width, most_texts);
  (void)adapter_of(request.model);
  for (const std::string& text : request.texts) check_bytes(text.size(), "input");
  for (const std::string& text : request.texts) request.ids.push_back(encoder.encode(text));
  int64_t tokens = 0;
  for (const std::vector<int64_t>& ids : request.ids) {
    tokens += std::ssize(ids);
    if (std::ssize(ids) > served_.context)
      throw Refusal(400, fmt::format("a text has {} tokens; the model takes {}", ids.size(), served_.context),
                    "input", "context_length_exceeded");
  }
  const AnswerHead head{identifier("classify"), served_.name, unix_seconds()};
  EncoderPlan plan;
  plan.ids = std::move(request.ids);
  plan.compute = labels ? encoder.classify : encoder.embed;
  plan.body = [&encoder, head, tokens, labels, base64 = request.base64](const std::vector<float>& values) {
    return labels ? classes_json(head, values, encoder.labels, tokens)
                  : embeddings_json(head.model, values, encoder.width, tokens, base64);
  };
  std::make_shared<EncoderAnswer>(std::move(plan), exchange, served_.loop)->start();
}

}  // namespace lowrank::serve
