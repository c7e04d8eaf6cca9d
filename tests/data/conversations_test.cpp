#include "base/json.h"
#include "data/conversations/content.h"
#include "data/conversations/conversation_row.h"
#include "data/conversations/message.h"
#include "data/conversations/targets.h"
#include "data/rows/data_files.h"
#include "support/text_fixtures.h"

namespace lowrank::test {
namespace {

using Shape = ConversationShape;

ConversationRow conversation_of(std::string_view row, Shape shape = Shape::messages, bool completion = true) {
  return read_conversation(parse_ordered_json(row, "r"), shape, completion, "rows.jsonl:7");
}

std::string messages_of(std::string_view row, Shape shape = Shape::messages, bool completion = true) {
  return row_text(conversation_of(row, shape, completion).conversation.messages);
}

/// The one message of a row of such a list.
std::string one_message(std::string_view message) {
  const std::string list = messages_of(fmt::format(R"({{"messages":[{}]}})", message));
  return list.substr(1, list.size() - 2);
}

void expect_refused(std::string_view row, std::string_view part, Shape shape = Shape::messages) {
  SCOPED_TRACE(row);
  try {
    conversation_of(row, shape);
    ADD_FAILURE() << "no error; expected: " << part;
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_TRUE(message.starts_with("rows.jsonl:7: ")) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message << "\nexpected: " << part;
  }
}

TEST(Conversations, TextInPlaceOfAListIsCalledThat) {
  expect_refused(R"({"messages":"hi"})",
                 "\"messages\" must be a list of messages, or one as a string of JSON");
  const std::string messages =
      R"("messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}])";
  expect_refused("{" + messages + R"(,"tools":"notjson"})", "\"tools\" must be a list of tools, ");
  expect_refused("{" + messages + R"(,"tools":"[{"})", "\"tools\"");
  expect_refused(R"({"instruction":"q","output":"a","history":"Hello."})", "must be a list of pairs, ",
                 Shape::alpaca);
}

TEST(Conversations, EveryShapeBecomesMessages) {
  const std::string expected =
      R"([{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}])";
  const std::vector<std::pair<Shape, const char*>> rows = {
      {Shape::messages,
       R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})"},
      {Shape::messages,
       R"({"conversations":[{"from":"system","value":"s"},{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})"},
      {Shape::messages,
       R"({"system":"s","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})"},
      {Shape::messages,
       R"({"conversations":[{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})"},
      {Shape::messages,
       R"({"messages":[{"from":"system","content":"s"},{"role":"human","value":"q"},{"from":"assistant","value":"a"}]})"},
      {Shape::messages,
       R"({"system":"s","messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})"},
      {Shape::messages,
       R"({"messages":null,"system":"s","conversation":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})"},
      {Shape::messages,
       R"({"messages":"[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"}]"})"},
      {Shape::prompt,
       R"({"prompt":[{"role":"system","content":"s"},{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"a"}]})"},
      {Shape::alpaca, R"({"system":"s","instruction":"q","input":"","output":"a"})"},
      {Shape::alpaca, R"({"system":"s","instruction":"q","history":null,"input":null,"output":"a"})"},
  };
  for (const auto& [shape, row] : rows) EXPECT_EQ(messages_of(row, shape), expected) << row;
}

TEST(Conversations, AlpacaHasEarlierTurnsInFront) {
  EXPECT_EQ(
      messages_of(R"({"instruction":"i","input":"x","output":"o","history":[["q","a"]]})", Shape::alpaca),
      R"([{"role":"user","content":"q"},{"role":"assistant","content":"a"},)"
      R"({"role":"user","content":"i\nx"},{"role":"assistant","content":"o"}])");
}

TEST(Conversations, RolesHaveOtherNames) {
  for (const auto& [role, names] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"user", {"user", "human", "input"}},
           {"assistant", {"assistant", "gpt", "chatgpt", "bot", "model", "output"}},
           {"tool", {"tool", "observation", "ipython", "function"}},
           {"system", {"system"}},
           {"developer", {"developer"}}}) {
    for (const std::string& name : names) {
      EXPECT_EQ(one_message(fmt::format(R"({{"from":"{}","value":"t"}})", name)),
                fmt::format(R"({{"role":"{}","content":"t"}})", role));
    }
  }
}

TEST(Conversations, KeysOfATemplateStay) {
  EXPECT_EQ(
      one_message(R"({"content":"t","name":"n","role":"tool","tool_call_id":"c","x":[1.50,null],"y":null})"),
      R"({"content":"t","name":"n","role":"tool","tool_call_id":"c","x":[1.5,null]})");
  EXPECT_EQ(one_message(R"({"role":"assistant","reasoning_content":"r","content":null})"),
            R"({"role":"assistant","reasoning_content":"r"})");
}

TEST(Conversations, ContentIsTextOrParts) {
  for (const auto& [given, read] : std::vector<std::pair<const char*, const char*>>{
           {R"("t")", R"("t")"},
           {R"("")", R"("")"},
           {R"([])", R"("")"},
           {R"([{"type":"text","text":"a"},{"text":"b"}])",
            R"([{"type":"text","text":"a"},{"type":"text","text":"b"}])"},
           {R"([{"type":"input_text","text":"a","cache_control":{"type":"x"}}])",
            R"([{"type":"text","text":"a"}])"},
           {R"([{"type":"text","text":"a","image_url":null}])", R"([{"type":"text","text":"a"}])"}}) {
    EXPECT_EQ(one_message(fmt::format(R"({{"role":"user","content":{}}})", given)),
              fmt::format(R"({{"role":"user","content":{}}})", read));
  }
}

TEST(Conversations, CallsOfTools) {
  const std::string call = R"({"type":"function","function":{"name":"f","arguments":{"z":1,"a":[2]}}})";
  const std::string text = R"("{\"z\":1,\"a\":[2]}")";
  for (const std::string& calls : {call, R"({"name":"f","arguments":{"z":1,"a":[2]}})" + std::string(),
                                   R"({"type":"function","function":{"name":"f","arguments":)" + text + "}}",
                                   R"({"type":null,"function":{"name":"f","arguments":)" + text + "}}"}) {
    EXPECT_EQ(one_message(fmt::format(R"({{"role":"assistant","content":null,"tool_calls":[{}]}})", calls)),
              fmt::format(R"({{"role":"assistant","tool_calls":[{}]}})", call));
  }
  EXPECT_EQ(one_message(R"({"role":"assistant","function_call":{"name":"f","arguments":)" + text + "}}"),
            fmt::format(R"({{"role":"assistant","tool_calls":[{}]}})", call));
  EXPECT_EQ(
      one_message(R"({"from":"function_call","value":"{\"name\":\"f\",\"arguments\":{\"z\":1,\"a\":[2]}}"})"),
      fmt::format(R"({{"role":"assistant","content":"","tool_calls":[{}]}})", call));
  EXPECT_EQ(one_message(R"({"role":"assistant","content":"t","tool_calls":[]})"),
            R"({"role":"assistant","content":"t"})");
  EXPECT_EQ(
      one_message(R"({"role":"assistant","tool_calls":[{"name":"f","id":"c1","arguments":""}]})"),
      R"({"role":"assistant","tool_calls":[{"type":"function","id":"c1","function":{"name":"f","arguments":{}}}]})");
}

TEST(Conversations, ArgumentsThatAreNoObjectStayText) {
  for (const char* text : {"[1]", "x", "{\\\"a\\\":", "7"}) {
    const std::string call =
        fmt::format(R"({{"type":"function","function":{{"name":"f","arguments":"{}"}}}})", text);
    const std::string message = fmt::format(R"({{"role":"assistant","tool_calls":[{}]}})", call);
    EXPECT_EQ(one_message(message), message);
  }
}

TEST(Conversations, NumbersKeepTheirValue) {
  const std::string arguments =
      R"({\"n\":123456789012345678901234567890,\"f\":1.10,\"e\":1e3,\"i\":1,\"null\":null})";
  const std::string message = one_message(
      fmt::format(R"({{"role":"assistant","tool_calls":[{{"name":"f","arguments":"{}"}}]}})", arguments));
  EXPECT_NE(message.find(R"({"n":123456789012345678901234567890,"f":1.1,"e":1000.0,"i":1,"null":null})"),
            std::string::npos)
      << message;
}

TEST(Conversations, ToolsAreAListOrItsText) {
  const std::string list = R"([{"type":"function","function":{"name":"f","parameters":{"b":1,"a":2}}}])";
  const std::string messages = R"("messages":[{"role":"assistant","content":"a"}])";
  for (const char* tools :
       {R"("tools":[{"type":"function","function":{"name":"f","parameters":{"b":1,"a":2}}}])",
        R"("tools":[{"name":"f","parameters":{"b":1,"a":2}}])",
        R"("tools":"[{\"name\":\"f\",\"parameters\":{\"b\":1,\"a\":2}}]")",
        R"("tools":[{"type":"function","name":"f","parameters":{"b":1,"a":2}}])",
        R"("functions":[{"name":"f","parameters":{"b":1,"a":2}}])"}) {
    EXPECT_EQ(row_text(conversation_of(fmt::format("{{{},{}}}", messages, tools)).conversation.tools), list)
        << tools;
  }
  for (const char* tools : {R"("tools":[])", R"("tools":"")", R"("tools":null)", R"("tools":"[]")",
                            R"("parallel_tool_calls":true)"}) {
    EXPECT_TRUE(conversation_of(fmt::format("{{{},{}}}", messages, tools)).conversation.tools.is_null())
        << tools;
  }
}

TEST(Conversations, FurtherVariablesOfTheTemplate) {
  const ConversationRow row = conversation_of(
      R"({"messages":[{"role":"user","content":"q"}],"chat_template_kwargs":{"enable_thinking":false,"a":1},)"
      R"("documents":[{"title":"d"}]})");
  EXPECT_EQ(row_text(row.conversation.extra), R"({"enable_thinking":false,"a":1})");
  EXPECT_EQ(row_text(row.conversation.documents), R"([{"title":"d"}])");
}

TEST(Conversations, AnAnswerMayBeMissing) {
  EXPECT_EQ(messages_of(R"({"prompt":[{"role":"user","content":"q"}]})", Shape::prompt, false),
            R"([{"role":"user","content":"q"}])");
  EXPECT_EQ(messages_of(R"({"instruction":"q"})", Shape::alpaca, false),
            R"([{"role":"user","content":"q"}])");
}

TEST(Conversations, WhatCannotBeReadIsRefused) {
  for (const auto& [message, part] : std::vector<std::pair<const char*, const char*>>{
           {R"("x")", "message 1 must be an object with \"role\" and \"content\", not string"},
           {R"({"content":"t"})", "message 1 has no \"role\" (or \"from\")"},
           {R"({"role":null,"content":"t"})", "has no \"role\""},
           {R"({"role":5,"content":"t"})", "\"role\" must be a string, not number"},
           {R"({"role":"narrator","content":"t"})",
            "message 1: the role \"narrator\" is not known; known are system, developer, user"},
           {R"({"role":"user","from":"human","content":"t"})", "\"role\" and \"from\" stand side by side"},
           {R"({"role":"user","content":"t","value":"t"})", "\"content\" and \"value\" stand side by side"},
           {R"({"role":"user"})", "message 1 has no \"content\" (or \"value\")"},
           {R"({"role":"user","content":null})", "has no \"content\""},
           {R"({"role":"assistant","content":null})", "has neither content nor tool calls"},
           {R"({"role":"assistant","tool_calls":[]})", "has neither content nor tool calls"},
           {R"({"role":"user","content":5})", "the content must be a string or a list of parts, not number"},
           {R"({"role":"tool","content":{"a":1}})", "not object (write an object as a string of JSON)"},
           {R"({"role":"user","content":["t"]})", "part 1: a part of the content must be an object"},
           {R"({"role":"user","content":[{"text":"t"},{"type":"image"}]})",
            "part 2: parts of type \"image\" are not supported"},
           {R"({"role":"user","content":[{"image_url":{"url":"u"}}]})", "parts of type \"image_url\""},
           {R"({"role":"user","content":[{"type":"thinking","thinking":"t"}]})", "\"reasoning_content\""},
           {R"({"role":"user","content":[{"type":"text","text":null}]})",
            "\"text\" must be a string, not null"},
           {R"({"role":"user","content":[{"type":"text"}]})", "\"text\" must be a string, not missing"},
           {R"({"role":"user","content":[{"type":7}]})", "\"type\" must be a string, not number"},
           {R"({"role":"user","content":[{"type":"text","text":"a","source":"b"}]})",
            "\"source\" beside a part's text is not read"},
           {R"({"role":"user","content":"t","images":["i"]})", "message 1: \"images\" is not read"},
           {R"({"role":"assistant","content":"t","refusal":"no"})", "\"refusal\" is not read"},
           {R"({"role":"assistant","content":"t","training_detail":[{}]})",
            "\"training_detail\" is not read"},
           {R"({"role":"user","content":"t","tool_calls":[{"name":"f"}]})", "only an assistant calls tools"},
           {R"({"role":"assistant","tool_calls":5})", "\"tool_calls\" must be a list of calls, not number"},
           {R"({"role":"assistant","tool_calls":["f"]})", "call 1 must be an object, not string"},
           {R"({"role":"assistant","tool_calls":[{}]})", "call 1 must name a function"},
           {R"({"role":"assistant","tool_calls":[{"function":{"name":5}}]})", "call 1 must name a function"},
           {R"({"role":"assistant","tool_calls":[{"type":"custom","name":"f"}]})",
            "only the type \"function\" is supported, not \"custom\""},
           {R"({"role":"assistant","tool_calls":[{"name":"f","arguments":[1]}]})",
            "\"arguments\" must be an object, or one as a string of JSON, not array"},
           {R"({"role":"assistant","tool_calls":[{"name":"f","parameters":{}}]})", "called \"arguments\""},
           {R"({"role":"assistant","tool_calls":[{"name":"f"}],"function_call":{"name":"f"}})",
            "calls stand in two places"},
           {R"({"from":"function_call","value":"call f"})", "the function call must be a list of calls"},
           {R"({"from":"function_call","value":5})", "a function call must be JSON"},
           {R"({"role":"assistant","content":"t","weight":0.5})", "\"weight\" must be 0 or 1"},
           {R"({"role":"user","content":"t","weight":1})", "a \"weight\" of 1 is for assistant messages"},
           {R"({"role":"assistant","content":"t","training":1})", "\"training\" must be true or false"},
           {R"({"role":"assistant","content":"t","training":true,"weight":0})", "contradict each other"}}) {
    expect_refused(fmt::format(R"({{"messages":[{}]}})", message), part);
  }
}

TEST(Conversations, RowsThatCannotBeReadAreRefused) {
  const std::string list = R"([{"role":"user","content":"q"}])";
  const auto beside = [&](std::string_view field) {
    return fmt::format(R"({{"messages":{},{}}})", list, field);
  };
  expect_refused(R"({"text":"t"})", "the row has no \"messages\" (or \"conversations\")");
  expect_refused(R"({"messages":[]})", "\"messages\" has no messages");
  expect_refused(R"({"conversations":{}})", "\"conversations\" must be a list of messages, not object");
  expect_refused(R"({"messages":"hello"})",
                 "\"messages\" must be a list of messages, or one as a string of JSON");
  expect_refused(beside(R"("conversations":[{}])"), "\"messages\" and \"conversations\" stand side by side");
  expect_refused(R"({"messages":[{"role":"user","content":"q"},{"role":"x","content":"a"}]})", "message 2: ");
  expect_refused(beside(R"("system":5)"), "\"system\" must be a string, not number");
  expect_refused(R"({"messages":[{"role":"system","content":"a"}],"system":"b"})",
                 "two different system prompts");
  expect_refused(beside(R"("tools":{"name":"f"})"), "\"tools\" must be a list of tools");
  expect_refused(beside(R"("tools":["f"])"), "\"tools\": tool 1 must be an object, not string");
  expect_refused(beside(R"("tools":[{"parameters":{}}])"), "tool 1 has neither \"function\" nor \"name\"");
  expect_refused(beside(R"("tools":"[{")"), "\"tools\": parse error");
  expect_refused(beside(R"("tools":[{"name":"f"}],"functions":[{"name":"g"}])"), "side by side");
  expect_refused(beside(R"("chat_template_kwargs":[1])"),
                 "\"chat_template_kwargs\" must be an object, not array");
  expect_refused(beside(R"("chat_template_kwargs":{"messages":[]})"), "not a variable of the row's own");
  expect_refused(beside(R"("documents":{"a":1})"), "\"documents\" must be a list, not object");
  expect_refused(fmt::format(R"({{"prompt":"q","completion":{}}})", list),
                 R"(write it as [{"role": "user", "content": "..."}])", Shape::prompt);
  expect_refused(fmt::format(R"({{"prompt":{},"completion":"a"}})", list),
                 R"(write it as [{"role": "assistant", "content": "..."}])", Shape::prompt);
  expect_refused(fmt::format(R"({{"prompt":{}}})", list), "the row has no \"completion\"", Shape::prompt);
  expect_refused(fmt::format(R"({{"prompt":{},"completion":[{{}}]}})", list),
                 "completion message 1 has no \"role\"", Shape::prompt);
  expect_refused(R"({"instruction":"i","history":[["q"]],"output":"o"})",
                 "pairs [\"instruction\", \"answer\"]", Shape::alpaca);
  expect_refused(R"({"instruction":"i","history":{"q":"a"},"output":"o"})", "\"history\" must be a list",
                 Shape::alpaca);
  expect_refused(R"({"instruction":"i","system":"s"})", "the row has no \"output\"", Shape::alpaca);
  expect_refused(R"({"system":"s","output":"o"})", "the row has no \"instruction\"", Shape::alpaca);
}

using Indices = std::vector<int64_t>;

TEST(TargetMessages, AreTheAnswers) {
  const ConversationRow row = conversation_of(
      R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":"a"},)"
      R"({"role":"tool","content":"t"},{"role":"assistant","content":"b"}]})");
  EXPECT_EQ(target_messages(row, TrainOn::assistant), (Indices{2, 4}));
  EXPECT_EQ(target_messages(row, TrainOn::last), (Indices{4}));
  EXPECT_EQ(target_messages(row, TrainOn::all), (Indices{0, 1, 2, 3, 4}));
}

TEST(TargetMessages, OfACompletionAreItsAnswers) {
  const std::string_view text =
      R"("prompt":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"q"}],)"
      R"("completion":[{"role":"assistant","content":"b"},{"role":"tool","content":"t"},{"role":"assistant","content":"c"}])";
  const ConversationRow row = conversation_of(fmt::format("{{{}}}", text), Shape::prompt);
  EXPECT_EQ(target_messages(row, TrainOn::assistant), (Indices{3, 5}));
  EXPECT_EQ(target_messages(row, TrainOn::all).size(), 6U);
  const ConversationRow with_system =
      conversation_of(fmt::format("{{\"system\":\"s\",{}}}", text), Shape::prompt);
  EXPECT_EQ(target_messages(with_system, TrainOn::assistant), (Indices{4, 6}));
}

TEST(TargetMessages, FollowWhatTheRowSays) {
  const ConversationRow row = conversation_of(
      R"({"messages":[{"role":"user","content":"q","training":true},{"role":"assistant","content":"a","weight":1},)"
      R"({"role":"user","content":"q","weight":0},{"role":"assistant","content":"b","weight":0.0}]})");
  EXPECT_EQ(target_messages(row, TrainOn::assistant), (Indices{0, 1}));
  EXPECT_EQ(target_messages(row, TrainOn::last), (Indices{1}));
  EXPECT_EQ(target_messages(row, TrainOn::all), (Indices{0, 1}));
  EXPECT_FALSE(row.conversation.messages[1].contains("weight"));
}

TEST(TargetMessages, MayBeNone) {
  const ConversationRow row = conversation_of(R"({"messages":[{"role":"user","content":"q"}]})");
  EXPECT_EQ(target_messages(row, TrainOn::assistant), Indices{});
  EXPECT_EQ(target_messages(row, TrainOn::last), Indices{});
}

TEST(TrainOnNamed, KnowsItsNames) {
  EXPECT_EQ(train_on_named("assistant"), TrainOn::assistant);
  EXPECT_EQ(train_on_named("last"), TrainOn::last);
  EXPECT_EQ(train_on_named("all"), TrainOn::all);
  expect_failure(ErrorKind::invalid, "`train_on` 'user' is not known", [] { train_on_named("user"); });
}

TEST(EmptyAnswers, HaveNeitherTextNorReasoningNorCalls) {
  const auto empty = [](const char* text) { return is_empty_answer(nlohmann::ordered_json::parse(text)); };
  EXPECT_TRUE(empty(R"({"role":"assistant","content":""})"));
  EXPECT_TRUE(empty(R"({"role":"assistant","content":[{"type":"text","text":""}]})"));
  EXPECT_FALSE(empty(R"({"role":"assistant","content":"a"})"));
  EXPECT_FALSE(empty(R"({"role":"assistant","content":"","thinking":"t"})"));
  EXPECT_FALSE(empty(R"({"role":"assistant","tool_calls":[{}]})"));
}

TEST(ContentHolds, FindsATextInAContentOrItsParts) {
  EXPECT_TRUE(content_holds("one two", "two"));
  EXPECT_TRUE(content_holds({{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "two"}}}, "two"));
  EXPECT_FALSE(content_holds("one two", "three"));
  const std::string large(5000, 'x');
  EXPECT_TRUE(content_holds(large, large));
  EXPECT_FALSE(content_holds(large + "y", large));
}

}  // namespace
}  // namespace lowrank::test
