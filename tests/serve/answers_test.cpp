// What the server writes: OpenAI's JSON, server-sent events, heads of HTTP messages, metrics.
#include "serve/api/answers.h"

#include <gtest/gtest.h>

#include "serve/api/refusal.h"
#include "serve/http/message.h"
#include "serve/server_metrics.h"

namespace lowrank::serve {
namespace {

Json parsed(const std::string& text) {
  return Json::parse(text);
}

/// The JSON of an event.
Json data_of(const std::string& event) {
  EXPECT_TRUE(event.starts_with("data: ") && event.ends_with("\n\n")) << event;
  EXPECT_EQ(event.find('\n'), event.size() - 2) << "one line per event";
  return Json::parse(event.substr(6));
}

const AnswerHead chat_head{"chatcmpl-1", "m", 5, true}, text_head{"cmpl-1", "m", 5, false};

TEST(Answers, ChatCompletion) {
  ChoicePart choice{0, "Hello\nthere", FinishReason::stop};
  choice.tokens = {{"Hello", -0.5, {{"Hello", -0.5}, {"\xc3", -2}}}};
  const Json answer = parsed(answer_json(chat_head, {choice, {1, "Hi", FinishReason::length}}, {7, 4, 3}));
  EXPECT_EQ(answer["object"], "chat.completion");
  EXPECT_EQ(answer["choices"][0]["message"]["role"], "assistant");
  EXPECT_EQ(answer["choices"][0]["message"]["content"], "Hello\nthere");
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(answer["choices"][1]["finish_reason"], "length");
  EXPECT_TRUE(answer["choices"][1]["logprobs"].is_null());
  const Json token = answer["choices"][0]["logprobs"]["content"][0];
  EXPECT_EQ(token["bytes"], Json::array({72, 101, 108, 108, 111}));
  EXPECT_EQ(token["top_logprobs"][1]["bytes"], Json::array({0xc3}));
  EXPECT_EQ(answer["usage"]["total_tokens"], 10);
  EXPECT_EQ(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
}

TEST(Answers, TextCompletion) {
  ChoicePart choice{0, "ab", FinishReason::length};
  choice.tokens = {{"a", -1}, {"b", -2, {{"b", -2}}}};
  const Json answer = parsed(answer_json(text_head, {choice}, {}));
  EXPECT_EQ(answer["object"], "text_completion");
  EXPECT_EQ(answer["choices"][0]["text"], "ab");
  const Json logprobs = answer["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], Json::array({"a", "b"}));
  EXPECT_EQ(logprobs["token_logprobs"], Json::array({-1, -2}));
  EXPECT_EQ(logprobs["text_offset"], Json::array({0, 1}));
  EXPECT_EQ(logprobs["top_logprobs"][1]["b"], -2);
}

TEST(Answers, OffsetsCountCharacters) {
  EXPECT_EQ(code_points(""), 0);
  EXPECT_EQ(code_points("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), 4);
  ChoicePart choice{0, "\xc3\xa9", FinishReason::length};
  choice.tokens = {{"\xc3\xa9", -1}, {"\xe2\x82", -1}, {"\xac", -1}, {"b", -1}};
  const auto offsets = [](const Json& answer) { return answer["choices"][0]["logprobs"]["text_offset"]; };
  EXPECT_EQ(offsets(parsed(answer_json(text_head, {choice}, {}))), Json::array({0, 1, 2, 2}));
  choice.text_offset = 5;
  EXPECT_EQ(offsets(data_of(part_event(text_head, choice, false))), Json::array({5, 6, 7, 7}));
}

TEST(Answers, EventsOfAStream) {
  const Json first = data_of(part_event(chat_head, {0, "He\n\nllo", {}}, true));
  EXPECT_EQ(first["object"], "chat.completion.chunk");
  EXPECT_EQ(first["choices"][0]["delta"], (Json{{"role", "assistant"}, {"content", "He\n\nllo"}}));
  EXPECT_TRUE(first["choices"][0]["finish_reason"].is_null());
  const Json last = data_of(part_event(chat_head, {0, "", FinishReason::stop}, false));
  EXPECT_EQ(last["choices"][0]["delta"], Json::object());
  EXPECT_EQ(last["choices"][0]["finish_reason"], "stop");
  const Json usage = data_of(usage_event(chat_head, {1, 0, 2}));
  EXPECT_TRUE(usage["choices"].empty());
  EXPECT_EQ(usage["usage"]["completion_tokens"], 2);
}

TEST(Answers, Encoders) {
  const Json plain = parsed(embeddings_json("m", {1, 2, 3, 4}, 2, 5, false));
  EXPECT_EQ(plain["data"].size(), 2U);
  EXPECT_EQ(plain["data"][1]["embedding"], Json::array({3, 4}));
  EXPECT_EQ(parsed(embeddings_json("m", {1}, 1, 5, true))["data"][0]["embedding"], "AACAPw==");
  const Json classes = parsed(classes_json(chat_head, {0.25, 0.75, 0.5, 0.5}, {{"no", "yes"}}, 4));
  EXPECT_EQ(classes["data"][0]["label"], "yes");
  EXPECT_EQ(classes["data"][1]["probs"], Json::array({0.5, 0.5}));
  EXPECT_EQ(classes["data"][0]["num_classes"], 2);
  EXPECT_TRUE(parsed(classes_json(chat_head, {3.5}, {}, 4))["data"][0]["label"].is_null());
  const Json several = parsed(classes_json(chat_head, {0.75, 0.5, 0.9}, {{"a", "b", "c"}, true}, 4));
  EXPECT_EQ(several["data"][0]["label"], Json::array({"a", "c"}));
}

TEST(Answers, Refusals) {
  const Json error = parsed(refusal_json(Refusal(404, "no \"x\"", "model", "model_not_found")))["error"];
  EXPECT_EQ(error["message"], "no \"x\"");
  EXPECT_EQ(error["param"], "model");
  EXPECT_EQ(error["code"], "model_not_found");
  EXPECT_TRUE(parsed(refusal_json(Refusal(400, "x")))["error"]["param"].is_null());
  EXPECT_EQ(refusal_of(Error(ErrorKind::not_found, "x")).status(), 404);
  EXPECT_EQ(refusal_of(Error(ErrorKind::corrupt, "x")).status(), 400);
  EXPECT_EQ(refusal_of(Refusal(413, "x", "p")).parameter(), "p");
  EXPECT_EQ(refusal_response(Refusal(503, "x")).headers.at(0).first, "Retry-After");
}

TEST(Answers, HeadsOfMessages) {
  HttpResponse response{404, "body"};
  response.headers = {{"X", "y"}};
  const std::string known = head_text(response, BodyLength::known, true);
  EXPECT_TRUE(known.starts_with("HTTP/1.1 404 Not Found\r\n")) << known;
  EXPECT_NE(known.find("Content-Length: 4\r\n"), std::string::npos);
  EXPECT_NE(known.find("X: y\r\n"), std::string::npos);
  EXPECT_TRUE(known.ends_with("Connection: keep-alive\r\n\r\n"));
  const std::string chunked = head_text(response, BodyLength::chunked, false);
  EXPECT_NE(chunked.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(chunked.find("Content-Length"), std::string::npos);
  EXPECT_EQ(chunk(std::string(26, 'x')), "1a\r\n" + std::string(26, 'x') + "\r\n");
}

TEST(Answers, Dates) {
  EXPECT_EQ(date_text(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(Answers, PathsOfTargets) {
  EXPECT_EQ(path_of_target("/v1/models"), "/v1/models");
  EXPECT_EQ(path_of_target("/v1/models/a%20b?x=%2f#y"), "/v1/models/a b");
  EXPECT_EQ(path_of_target("http://host:80/a"), "/a");
  EXPECT_EQ(path_of_target("http://host"), "/");
  EXPECT_EQ(path_of_target("/..%2f.."), "/../..");
  for (const char* wrong : {"", "a", "host:80", "/%0", "/%zz", "/%00", "/%-1"})
    EXPECT_FALSE(path_of_target(wrong)) << wrong;
  EXPECT_FALSE(path_of_target("/" + std::string(3000, 'a')));
}

TEST(Answers, Metrics) {
  ServerMetrics metrics;
  metrics.record({"GET", "/x", "", 200, 0.1}, "/v1/models");
  metrics.record({"GET", "/x", "", 200, 0.1}, "/v1/models");
  metrics.first_token(0.05);
  metrics.first_token(100);
  EngineStatistics engine;
  engine.running = 3;
  const std::string text = metrics.text(engine, "a\"b\\c\nd", 2, 1);
  for (const char* line : {"\nlowrank_requests_running 3\n", "lowrank_info{model=\"a\\\"b\\\\c\\nd\"} 1\n",
                           "lowrank_http_requests_total{path=\"/v1/models\",status=\"200\"} 2\n",
                           "lowrank_time_to_first_token_seconds_bucket{le=\"0.05\"} 1\n",
                           "lowrank_time_to_first_token_seconds_bucket{le=\"60\"} 1\n",
                           "lowrank_time_to_first_token_seconds_bucket{le=\"+Inf\"} 2\n",
                           "lowrank_time_to_first_token_seconds_count 2\n", "\nlowrank_adapters 2\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

}  // namespace
}  // namespace lowrank::serve
