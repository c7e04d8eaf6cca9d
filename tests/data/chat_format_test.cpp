// Conversations as a model sees them: their ids, and the tokens that end an answer.
#include "data/chat_format.h"

#include "data/end_of_turn.h"
#include "support/text_fixtures.h"

namespace lowrank::test {
namespace {

constexpr const char* chatml =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
/// As GLM-4: a turn ends where the next one begins.
constexpr const char* open_ended =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
/// As Idefics 3: a text that is not a list of parts is lost.
constexpr const char* of_parts =
    "{% for m in messages %}{{ m.role + ': ' }}{% for part in m.content %}{% if part.type == 'text' %}"
    "{{ part.text }}{% endif %}{% endfor %}{{ '<|im_end|>' }}{% endfor %}";

Tokenizer tokenizer() {
  return load_tokenizer(text_fixture("smollm_small"));
}

Conversation chat(std::vector<std::pair<const char*, const char*>> turns) {
  Conversation conversation;
  for (const auto& [role, content] : turns)
    conversation.messages.push_back({{"role", role}, {"content", content}});
  return conversation;
}

TEST(ChatFormat, EncodesWhatTheTemplateWritesAndNothingElse) {
  const Tokenizer words = tokenizer();
  const ChatFormat format(ChatTemplate(chatml, "chatml", {}), words);
  ChatNotes notes;
  const std::string asked = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(words.decode(format.prompt(chat({{"user", "hello"}}), notes), false), asked);
  // An answer that has begun is continued.
  EXPECT_EQ(words.decode(format.prompt(chat({{"user", "hello"}, {"assistant", "I am"}}), notes), false),
            asked + "I am");
  EXPECT_TRUE(notes.warnings().empty());
  EXPECT_EQ(notes.conversations, 2);
  expect_failure(ErrorKind::invalid, "without messages", [&] { format.prompt({}, notes); });
}

TEST(ChatFormat, CountsSpecialTokensInTheMessages) {
  const Tokenizer words = tokenizer();
  const ChatFormat format(ChatTemplate(chatml, "chatml", {}), words);
  ChatNotes notes;
  format.prompt(chat({{"user", "a<|im_end|>b<|im_start|>"}}), notes);
  EXPECT_EQ(notes.special_tokens, 2);
  ASSERT_EQ(notes.warnings().size(), 1U);
  EXPECT_NE(notes.warnings()[0].find("2 special tokens, the first \"<|im_end|>\""), std::string::npos);
}

TEST(ChatFormat, GivesContentInTheShapeThatTheTemplateShows) {
  const Tokenizer words = tokenizer();
  const ChatFormat format(ChatTemplate(of_parts, "parts", {}), words);
  ChatNotes notes;
  EXPECT_EQ(words.decode(format.prompt(chat({{"user", "hello"}}), notes), false), "user: hello<|im_end|>");
  const nlohmann::ordered_json parts = {
      {"role", "user"}, {"content", {{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "b"}}}}};
  const Conversation given{nlohmann::ordered_json::array({parts})};
  EXPECT_EQ(in_shape(given, {.texts = true, .parts = false}).messages[0]["content"], "ab");
  EXPECT_EQ(in_shape(given, {.texts = false, .parts = true}).messages[0], parts);
  const ChatTemplate empty("x", "empty", {});
  expect_failure(ErrorKind::invalid, "does not show", [&] { content_shape(empty); });
}

TEST(ChatFormat, TextsThatTheTemplateLeavesOutAreNoticed) {
  const Tokenizer words = tokenizer();
  const ChatFormat format(
      ChatTemplate("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", "users", {}),
      words);
  ChatNotes notes;
  format.prompt(chat({{"system", "be brief"}, {"user", "hello"}}), notes);
  ASSERT_EQ(notes.warnings().size(), 1U);
  EXPECT_NE(notes.warnings()[0].find("leaves out the text of 1 message, of the role \"system\""),
            std::string::npos);
}

TEST(EndOfTurn, IsTheFirstTokenAfterAnAnswer) {
  const Tokenizer words = tokenizer();
  const auto end = [&](const char* source) { return end_of_turn(ChatTemplate(source, "t", {}), words); };
  EXPECT_EQ(end(chatml), words.encode("<|im_end|>", false).front());
  EXPECT_EQ(end(of_parts), words.encode("<|im_end|>", false).front());
  EXPECT_EQ(end(open_ended), words.encode("<|im_start|>", false).front());
  EXPECT_FALSE(end("{% for m in messages %}{{ m.content + '\\n' }}{% endfor %}"));
  EXPECT_FALSE(end("{{ raise_exception('no') }}"));
}

TEST(EndOfTurn, IsAddedWhereTheTokenizerDoesNotEndThere) {
  const Tokenizer words = tokenizer();
  const ChatFormat closed(ChatTemplate(chatml, "t", {}), words),
      open(ChatTemplate(open_ended, "t", {}), words);
  EXPECT_TRUE(closed.end_tokens().empty());  // the tokenizer's EOS
  EXPECT_EQ(open.end_tokens(), words.encode("<|im_start|>", false));
}

}  // namespace
}  // namespace lowrank::test
