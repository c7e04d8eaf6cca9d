// Bodies of requests: what is taken, and that all else is refused with the parameter's name.
#include <string>

#include <gtest/gtest.h>

#include "serve/api/generation_request.h"
#include "serve/api/refusal.h"
#include "serve/api/text_requests.h"

namespace lowrank::serve {
namespace {

constexpr RequestLimits small_limits{.vocabulary = 100, .most_choices = 4};

std::string chat_with(const std::string& members) {
  return R"({"model": "m", "messages": [{"role": "user", "content": "hi"}])" +
         (members.empty() ? "" : ", " + members) + "}";
}

std::string completion_with(const std::string& members) {
  return R"({"model": "m", "prompt": "hi")" + (members.empty() ? "" : ", " + members) + "}";
}

/// Expects a refusal with status 400 whose sentence has this part.
void expect_refused(const std::string& body, const std::string& part, bool chat = true) {
  SCOPED_TRACE(body.substr(0, 200));
  try {
    chat ? chat_request(body, small_limits) : completion_request(body, small_limits);
    ADD_FAILURE() << "taken";
  } catch (const Refusal& refusal) {
    EXPECT_EQ(refusal.status(), 400);
    EXPECT_NE(std::string(refusal.what()).find(part), std::string::npos) << refusal.what();
  }
}

TEST(Requests, ChatTakesItsParameters) {
  const GenerationRequest request = chat_request(
      chat_with(R"("n": 2, "max_tokens": 7, "max_completion_tokens": 9, "temperature": 0.50, "top_p": 0.9,
                "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2, "seed": 3, "stop": ["a", "b"],
                "logprobs": true, "top_logprobs": 2, "stream": true, "stream_options": {"include_usage": true},
                "user": "x", "store": false, "metadata": {"a": "b"}, "logit_bias": {}, "presence_penalty": 0,
                "response_format": {"type": "text"}, "tool_choice": "auto", "stop_token_ids": [5],
                "ignore_eos": true, "chat_template_kwargs": {"enable_thinking": false}, "cache_prompt": false)"),
      small_limits);
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(request.n, 2);
  EXPECT_EQ(request.max_tokens, 9);
  EXPECT_EQ(request.sampling.temperature, 0.5);
  EXPECT_EQ(request.sampling.top_p, 0.9);
  EXPECT_EQ(request.sampling.top_k, 5);
  EXPECT_EQ(request.sampling.min_p, 0.1);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.2);
  EXPECT_EQ(request.sampling.seed, 3);
  EXPECT_TRUE(request.has_seed);
  EXPECT_EQ(request.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request.stop_tokens, (std::vector<int64_t>{5}));
  EXPECT_EQ(request.top_logprobs, 2);
  EXPECT_TRUE(request.stream && request.include_usage && request.ignore_eos && !request.share_prefix);
  EXPECT_EQ(request.conversation.extra.at("enable_thinking"), false);
  EXPECT_EQ(request.conversation.messages.at(0).at("content"), "hi");
}

TEST(Requests, DefaultsAreTheServers) {
  RequestLimits limits = small_limits;
  limits.sampling.temperature = 1;
  const GenerationRequest chat = chat_request(chat_with(""), limits);
  EXPECT_EQ(chat.sampling.temperature, 1);
  EXPECT_FALSE(chat.max_tokens || chat.has_seed || chat.stream);
  EXPECT_EQ(chat.top_logprobs, -1);
  EXPECT_EQ(completion_request(completion_with(""), limits).max_tokens, 16);
}

TEST(Requests, NumbersAreStrict) {
  for (const char* name : {"max_tokens", "n", "max_completion_tokens"}) {
    for (const char* value : {"-1", "0", "2147483648", "1e308", "\"1\"", "1.5", "9223372036854775808",
                              "18446744073709551616", "true", "[1]", "{}"})
      expect_refused(chat_with(fmt::format("\"{}\": {}", name, value)), fmt::format("`{}`", name));
  }
  for (const char* name : {"temperature", "top_p", "min_p"}) {
    for (const char* value : {"-0.1", "2.1", "1e308", "\"1\"", "true", "[0.5]"})
      expect_refused(chat_with(fmt::format("\"{}\": {}", name, value)), fmt::format("`{}`", name));
  }
  expect_refused(chat_with(R"("temperature": NaN)"), "parse error");
  expect_refused(chat_with(R"("temperature": 1e999)"), "number");
  expect_refused(chat_with(R"("n": 5)"), "`n`");
  expect_refused(chat_with(R"("top_logprobs": 21, "logprobs": true)"), "`top_logprobs`");
  expect_refused(chat_with(R"("top_logprobs": 2)"), "`logprobs`");
  EXPECT_EQ(chat_request(chat_with(R"("max_tokens": 16.0)"), small_limits).max_tokens, 16);
}

TEST(Requests, WhatWouldChangeTheAnswerIsRefused) {
  for (const char* member :
       {R"("response_format": {"type": "json_object"})", R"("tool_choice": "required")",
        R"("tool_choice": {"type": "function"})", R"("guided_json": {"a": 1})", R"("best_of": 2)",
        R"("n_discard": -5)", R"("skip_special_tokens": false)", R"("modalities": ["audio"])",
        R"("suffix": "x")", R"("use_beam_search": true)", R"("prompt_logprobs": 1)"}) {
    const std::string text = member;
    expect_refused(chat_with(text), "`" + text.substr(1, text.find('"', 1) - 1) + "`");
  }
}

TEST(Requests, LogitsAreAdjusted) {
  const GenerationRequest request = chat_request(
      chat_with(R"("presence_penalty": -1, "frequency_penalty": 0.5, "logit_bias": {"5": 100, "7": -2.5})"),
      small_limits);
  EXPECT_EQ(request.adjustments.presence_penalty, -1);
  EXPECT_EQ(request.adjustments.frequency_penalty, 0.5);
  EXPECT_EQ(request.adjustments.bias, (std::vector<std::pair<int64_t, double>>{{5, 100}, {7, -2.5}}));
  EXPECT_FALSE(
      chat_request(chat_with(R"("logit_bias": {}, "presence_penalty": 0)"), small_limits).adjustments.any());
  for (const char* member :
       {R"("presence_penalty": 2.5)", R"("frequency_penalty": "1")", R"("logit_bias": [1])",
        R"("logit_bias": {"a": 1})", R"("logit_bias": {"-1": 1})", R"("logit_bias": {"100": 1})",
        R"("logit_bias": {"5": 101})", R"("logit_bias": {"5": "x"})", R"("logit_bias": {"": 1})"}) {
    const std::string text = member;
    expect_refused(chat_with(text), "`" + text.substr(1, text.find('"', 1) - 1));
  }
}

TEST(Requests, StopsAreBounded) {
  std::string many = "\"a\"";
  for (int i = 0; i < 100'000; ++i) many += ",\"a\"";
  expect_refused(chat_with("\"stop\": [" + many + "]"), "`stop`");
  expect_refused(chat_with("\"stop\": \"" + std::string(5000, 'x') + "\""), "`stop`");
  expect_refused(chat_with(R"("stop": "")"), "`stop`");
  expect_refused(chat_with(R"("stop": [1])"), "`stop`");
  expect_refused(chat_with(R"("stop_token_ids": [100])"), "`stop_token_ids`");
  expect_refused(chat_with(R"("stop_token_ids": [1.5])"), "not 1.5");
  expect_refused(chat_with(R"("stop_token_ids": [99999999999999999999])"), "not 99999999999999999999");
  expect_refused(chat_with(R"("max_tokens": 99999999999999999999)"), "not 99999999999999999999");
  EXPECT_EQ(chat_request(chat_with(R"("stop_token_ids": [1e0, 2.0, 30])"), small_limits).stop_tokens,
            (std::vector<int64_t>{1, 2, 30}));
}

TEST(Requests, BodiesAreStrictJson) {
  expect_refused("", "no body");
  expect_refused("  \n", "no body");
  expect_refused("[]", "JSON object");
  expect_refused("\"text\"", "JSON object");
  expect_refused(std::string(100'000, '['), "nested");
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "{\"a\":";
  expect_refused(deep, "nested");
  expect_refused(R"({"model": "a", "model": "b"})", "model");
  expect_refused(chat_with(R"("x": 1, "x": 2)"), "twice");
  expect_refused(chat_with("\"x\": \"\xff\xfe\""), "UTF-8");
  expect_refused(chat_with("") + " trailing", "parse error");
  expect_refused(chat_with("").substr(0, 20), "parse error");
  expect_refused("\xEF\xBB\xBF" + chat_with(""), "byte order mark");
  std::string values = "[1";
  for (int i = 0; i < 300'000; ++i) values += ",1";
  expect_refused("{\"x\": " + values + "]}", "values");
}

TEST(Requests, MessagesAreChecked) {
  for (const char* messages : {"[]", "null", "{}", "\"hi\"", "[1]", R"([{"content": "x"}])",
                               R"([{"role": "captain", "content": "x"}])", R"([{"role": "user"}])",
                               R"([{"role": "user", "content": 5}])",
                               R"([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])"})
    expect_refused(fmt::format("{{\"model\": \"m\", \"messages\": {}}}", messages), "");
  expect_refused(R"({"messages": [{"role": "user", "content": "hi"}]})", "`model`");
  expect_refused(chat_with(R"("tools": "x")"), "`tools`");
  expect_refused(chat_with(R"("chat_template_kwargs": {"messages": []})"), "messages");
  expect_refused(chat_with(R"("continue_final_message": true)"), "`continue_final_message`");
  const GenerationRequest parts = chat_request(
      R"({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
          "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "none"})",
      small_limits);
  EXPECT_TRUE(parts.conversation.tools.is_null());
}

TEST(Requests, CompletionsTakeTextsAndIds) {
  const auto read = [](const std::string& prompt) {
    return completion_request(R"({"model": "m", "prompt": )" + prompt + "}", small_limits);
  };
  EXPECT_EQ(read(R"("a")").texts, (std::vector<std::string>{"a"}));
  EXPECT_EQ(read(R"(["a", "b"])").texts, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(read("[1, 2]").ids, (std::vector<std::vector<int64_t>>{{1, 2}}));
  EXPECT_EQ(read("[1e0, 2]").ids, (std::vector<std::vector<int64_t>>{{1, 2}}));
  EXPECT_EQ(read("[[1], [2, 3]]").ids, (std::vector<std::vector<int64_t>>{{1}, {2, 3}}));
  for (const char* prompt :
       {"[]", "5", "{}", "[[]]", "[[1], []]", "[100]", "[-1]", "[1.5]", "[[1], \"a\"]", "[\"a\", 1]",
        "[18446744073709551615]", "[99999999999999999999]", R"(["a","b","c","d","e"])", "null"})
    expect_refused(fmt::format("{{\"model\": \"m\", \"prompt\": {}}}", prompt), "`prompt`", false);
  expect_refused(R"({"model": "m", "prompt": ["a", "b", "c"], "n": 2})", "`n`", false);
  expect_refused(completion_with(R"("echo": true, "logprobs": 1)"), "`logprobs`", false);
  expect_refused(completion_with(R"("logprobs": 21)"), "`logprobs`", false);
  EXPECT_TRUE(completion_request(completion_with(R"("echo": true)"), small_limits).echo);
}

TEST(Requests, OneAdapterWithAScale) {
  const auto request =
      chat_request(chat_with(R"("lora": [{"id": 0, "scale": 0}, {"id": 3, "scale": 0.5}])"), small_limits);
  ASSERT_TRUE(request.lora);
  EXPECT_EQ(request.lora->id, 3);
  EXPECT_EQ(request.lora->scale, 0.5);
  EXPECT_TRUE(request.has_lora);
  for (const char* unused : {R"("lora": [{"id": 0, "scale": 0}])", R"("lora": [])"}) {
    const auto base = chat_request(chat_with(unused), small_limits);
    EXPECT_TRUE(base.has_lora && !base.lora) << unused;
  }
  EXPECT_FALSE(chat_request(chat_with(""), small_limits).has_lora);
  for (const char* list :
       {"5", "[5]", "[{}]", R"([{"id": -1}])", R"([{"id": 0, "scale": 1e308}])", R"([{"id": 0}, {"id": 1}])"})
    expect_refused(chat_with(fmt::format("\"lora\": {}", list)), "lora");
}

TEST(Requests, EncodersAndAdapters) {
  EXPECT_EQ(encoder_request(R"({"model": "m", "input": ["a", "b"]})", 10, 4, 8).texts.size(), 2);
  EXPECT_TRUE(
      encoder_request(R"({"model": "m", "input": [1], "encoding_format": "base64"})", 10, 4, 8).base64);
  EXPECT_NO_THROW(encoder_request(R"({"model": "m", "input": "a", "dimensions": 4})", 10, 4, 8));
  for (const char* body :
       {R"({"model": "m"})", R"({"model": "m", "input": []})", R"({"model": "m", "input": [10]})",
        R"({"model": "m", "input": "a", "dimensions": 3})",
        R"({"model": "m", "input": "a", "encoding_format": "int8"})", R"({"model": "m", "input": [[]]})",
        R"({"model": "m", "input": ["a","a","a","a","a","a","a","a","a"]})", R"({"input": "a"})"})
    EXPECT_THROW(encoder_request(body, 10, 4, 8), Refusal) << body;
  EXPECT_EQ(adapter_request(R"({"lora_name": "a", "lora_path": "b"})", true).path, "b");
  EXPECT_THROW(adapter_request(R"({"lora_name": "a"})", true), Refusal);
  EXPECT_THROW(adapter_request(R"({"lora_name": 5})", false), Refusal);
  EXPECT_EQ(adapter_scales(R"([{"id": 1, "scale": 2}])").at(0).scale, 2);
  for (const char* body : {"", "{}", "5", "[1]", R"([{"id": 1}])", R"([{"id": 1, "scale": 2}], "b": [1)"})
    EXPECT_THROW(adapter_scales(body), Refusal) << body;
}

}  // namespace
}  // namespace lowrank::serve
