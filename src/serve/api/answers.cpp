#include "serve/api/answers.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json.h"
#include "tokenizer/files/base64.h"

namespace lowrank::serve {
namespace {

Json finish_json(const ChoicePart& part) {
  if (!part.finish) return nullptr;
  return *part.finish == FinishReason::length ? "length" : "stop";
}

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.generated_tokens},
          {"total_tokens", usage.prompt_tokens + usage.generated_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

/// A token as OpenAI's chats show it.
Json token_json(const ShownToken& token) {
  Json bytes = Json::array();
  for (const char byte : token.bytes) bytes.push_back(static_cast<int>(static_cast<unsigned char>(byte)));
  return {{"token", token.bytes}, {"logprob", token.log_probability}, {"bytes", std::move(bytes)}};
}

Json chat_tokens(const std::vector<ShownToken>& tokens) {
  Json content = Json::array();
  for (const ShownToken& token : tokens) {
    Json one = token_json(token);
    one["top_logprobs"] = Json::array();
    for (const ShownToken& other : token.top) one["top_logprobs"].push_back(token_json(other));
    content.push_back(std::move(one));
  }
  return {{"content", std::move(content)}};
}

/// The same as completions show it: lists side by side.
Json completion_tokens(const std::vector<ShownToken>& tokens, int64_t offset) {
  Json texts = Json::array(), values = Json::array(), tops = Json::array(), offsets = Json::array();
  for (const ShownToken& token : tokens) {
    texts.push_back(token.bytes);
    values.push_back(token.log_probability);
    offsets.push_back(offset);
    offset += code_points(token.bytes);
    Json top = Json::object();
    for (const ShownToken& other : token.top) top[other.bytes] = other.log_probability;
    tops.push_back(std::move(top));
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(values)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

Json choice_json(const AnswerHead& head, const ChoicePart& part, const char* message_key, bool first) {
  Json choice = {{"index", part.index}};
  if (head.chat) {
    Json message = Json::object();
    if (first) message["role"] = "assistant";
    // The last event of a stream has a reason alone.
    if (first || !part.text.empty()) message["content"] = part.text;
    choice[message_key] = std::move(message);
  } else {
    choice["text"] = part.text;
  }
  choice["logprobs"] = nullptr;
  if (part.tokens)
    choice["logprobs"] =
        head.chat ? chat_tokens(*part.tokens) : completion_tokens(*part.tokens, part.text_offset);
  choice["finish_reason"] = finish_json(part);
  return choice;
}

Json head_json(const AnswerHead& head, bool is_part) {
  const char* object = !head.chat ? "text_completion" : is_part ? "chat.completion.chunk" : "chat.completion";
  return {{"id", head.id}, {"object", object}, {"created", head.created}, {"model", head.model}};
}

}  // namespace

int64_t code_points(std::string_view bytes) {
  return std::ranges::count_if(bytes, [](char byte) { return (byte & 0xC0) != 0x80; });
}

std::string answer_json(const AnswerHead& head, const std::vector<ChoicePart>& choices, const Usage& usage) {
  Json answer = head_json(head, false);
  answer["choices"] = Json::array();
  for (const ChoicePart& one : choices) answer["choices"].push_back(choice_json(head, one, "message", true));
  answer["usage"] = usage_json(usage);
  return json_text(answer);
}

std::string part_event(const AnswerHead& head, const ChoicePart& part, bool first) {
  Json answer = head_json(head, true);
  answer["choices"] = Json::array({choice_json(head, part, "delta", first)});
  return event(json_text(answer));
}

std::string usage_event(const AnswerHead& head, const Usage& usage) {
  Json answer = head_json(head, true);
  answer["choices"] = Json::array();
  answer["usage"] = usage_json(usage);
  return event(json_text(answer));
}

std::string event(std::string_view data) {
  return fmt::format("data: {}\n\n", data);
}

std::string embeddings_json(const std::string& model, const std::vector<float>& values, int64_t width,
                            int64_t tokens, bool as_base64) {
  Json data = Json::array();
  for (int64_t begin = 0; begin < std::ssize(values); begin += width) {
    const float* row = values.data() + begin;
    Json vector = as_base64 ? Json(to_base64({reinterpret_cast<const char*>(row), width * sizeof(float)}))
                            : Json(std::vector<float>(row, row + width));
    data.push_back({{"object", "embedding"}, {"index", begin / width}, {"embedding", std::move(vector)}});
  }
  return json_text(Json{{"object", "list"},
                        {"data", std::move(data)},
                        {"model", model},
                        {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}});
}

std::string classes_json(const AnswerHead& head, const std::vector<float>& shares, const LabelSet& labels,
                         int64_t tokens) {
  Json data = Json::array();
  const int64_t outputs = labels.outputs();
  for (int64_t begin = 0; begin < std::ssize(shares); begin += outputs) {
    const std::vector<float> row(shares.begin() + begin, shares.begin() + begin + outputs);
    Json label = nullptr;
    if (labels.several) {
      label = Json::array();
      for (int64_t i = 0; i < outputs; ++i) {
        if (row[i] > 0.5F) label.push_back(labels.names[i]);
      }
    } else if (labels.has_classes()) {
      label = labels.names[std::ranges::max_element(row) - row.begin()];
    }
    data.push_back(
        {{"index", begin / outputs}, {"label", std::move(label)}, {"probs", row}, {"num_classes", outputs}});
  }
  return json_text(
      Json{{"id", head.id},
           {"object", "list"},
           {"created", head.created},
           {"model", head.model},
           {"data", std::move(data)},
           {"usage", {{"prompt_tokens", tokens}, {"completion_tokens", 0}, {"total_tokens", tokens}}}});
}

Json model_json(const ListedModel& model) {
  Json json = {
      {"id", model.id},     {"object", "model"}, {"created", model.created},      {"owned_by", "lowrank"},
      {"root", model.root}, {"parent", nullptr}, {"max_model_len", model.context}};
  if (!model.parent.empty()) json["parent"] = model.parent;
  return json;
}

}  // namespace lowrank::serve
