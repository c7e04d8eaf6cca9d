// What apply_chat_template does around a template.
#include "tokenizer/chat/chat_template.h"

#include <string>

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/expect_error.h"

namespace lowrank::test {
namespace {

constexpr const char* plain_chat =
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{% if "
    "add_generation_prompt %}<assistant>{% endif %}";

Conversation chat(const std::string& messages) {
  Conversation conversation;
  conversation.messages = parse_ordered_json(messages, "test");
  return conversation;
}

std::string text(const std::string& source, const Conversation& conversation,
                 const RenderOptions& options = {}) {
  return ChatTemplate(source, "T", {{"bos_token", "<s>"}}).render(conversation, options).text;
}

TEST(ChatTemplate, RendersAConversation) {
  const Conversation conversation = chat(R"([{"role": "user", "content": "hi"}])");
  EXPECT_EQ(text(plain_chat, conversation), "<s><user>hi</>");
  EXPECT_EQ(text(plain_chat, conversation, {.add_generation_prompt = true}), "<s><user>hi</><assistant>");
  EXPECT_EQ(text("{{ tools is none }}{{ documents is none }}[{{ eos_token }}]", conversation), "TrueTrue[]");
}

TEST(ChatTemplate, NullKeysOfMessagesAreDropped) {
  const Conversation conversation = chat(R"([{"role": "user", "content": null, "x": {"y": null}}])");
  EXPECT_EQ(text("{{ messages }}", conversation), "[{'role': 'user', 'x': {'y': None}}]");
  EXPECT_EQ(text("{{ messages }}", conversation, {.drop_null_keys = false}),
            "[{'role': 'user', 'content': None, 'x': {'y': None}}]");
}

TEST(ChatTemplate, ReasoningHasOneName) {
  EXPECT_EQ(text("{{ messages }}", chat(R"([{"role": "a", "reasoning": "r"}])")),
            "[{'thinking': 'r', 'role': 'a', 'reasoning': 'r', 'reasoning_content': 'r'}]");
  EXPECT_EQ(text("{{ messages }}", chat(R"([{"role": "a", "thinking": "t", "reasoning": "r"}])")),
            "[{'thinking': 't', 'role': 'a', 'reasoning': 'r', 'reasoning_content': 't'}]");
}

TEST(ChatTemplate, ExtraKeywordsWinOverSpecialTokens) {
  Conversation conversation = chat(R"([{"role": "user", "content": "hi"}])");
  conversation.extra = {{"bos_token", "B"}, {"enable_thinking", false}, {"messages", "no"}};
  EXPECT_EQ(text("{{ bos_token }}{{ enable_thinking }}{{ messages | length }}", conversation), "BFalse1");
}

TEST(ChatTemplate, ContinuesTheLastMessage) {
  const RenderOptions go_on{.continue_final_message = true};
  EXPECT_EQ(
      text(plain_chat, chat(R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b "}])"),
           go_on),
      "<s><user>a</><assistant>b ");
  EXPECT_EQ(text("{{ messages[-1].content | trim }}</>", chat(R"([{"role": "assistant", "content": "b "}])"),
                 go_on),
            "b");
  EXPECT_EQ(text("{{ messages[-1].content[0].text }}</>",
                 chat(R"([{"role": "a", "content": [{"type": "text", "text": "b"}]}])"), go_on),
            "b");
  expect_error(ErrorKind::invalid, "chat template T", "cannot be continued",
               [&] { (void)text("{# content #}", chat(R"([{"role": "a", "content": "b"}])"), go_on); });
  expect_error(ErrorKind::invalid, "chat template T", "exclude each other", [&] {
    (void)text(plain_chat, chat(R"([{"role": "a", "content": "b"}])"),
               {.add_generation_prompt = true, .continue_final_message = true});
  });
}

TEST(ChatTemplate, AnEmptyConversationIsRefused) {
  expect_error(ErrorKind::invalid, "chat template T", "no messages",
               [] { (void)text(plain_chat, chat("[]")); });
  expect_error(ErrorKind::invalid, "chat template T", "message 1",
               [] { (void)text(plain_chat, chat("[1]")); });
}

TEST(ChatTemplate, NumbersKeepTheirDigits) {
  EXPECT_EQ(text("{{ messages[0].x | tojson }}",
                 chat(R"([{"x": [1, 1.0, 1.10, 1e3, 123456789012345678901234567890, -0.0]}])")),
            "[1, 1.0, 1.1, 1000.0, 123456789012345678901234567890, -0.0]");
}

TEST(ChatTemplate, TheClockIsGiven) {
  RenderOptions options;
  options.now = jinja::CalendarTime{2024, 2, 29, 13, 5, 7};
  EXPECT_EQ(text("{{ strftime_now('%d %b %Y %A %j %I%p %-d') }}", chat(R"([{"role": "a"}])"), options),
            "29 Feb 2024 Thursday 060 01PM 29");
}

}  // namespace
}  // namespace lowrank::test
