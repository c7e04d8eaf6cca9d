// What is learned of a conversation, against transformers' ids and assistant masks
// (tests/fixtures/make_chat.py).
#include "data/encode_conversation.h"

#include <atomic>
#include <map>

#include "base/json.h"
#include "data/dataset.h"
#include "data/row_cache.h"
#include "data/shown_example.h"
#include "support/temporary_folder.h"
#include "support/text_fixtures.h"
#include "tokenizer/chat/template_files.h"

namespace lowrank::test {
namespace {

std::string chat_file(const std::string& name) {
  std::ifstream file(fixture("chat") / name);
  return {std::istreambuf_iterator<char>(file), {}};
}

ChatTemplate fixture_template(const std::string& name, const Tokenizer& words, const std::string& folder) {
  const StoredTemplates stored = read_chat_templates(text_fixture(folder), words.spec());
  return {chat_file(name + ".jinja"), name, {stored.special_tokens.begin(), stored.special_tokens.end()}};
}

ConversationRow row_of(const nlohmann::ordered_json& messages) {
  return read_conversation({{"messages", messages}}, ConversationShape::messages, true, "row");
}

std::vector<int64_t> mask_of(const Example& example) {
  std::vector<int64_t> mask;
  for (const int64_t label : example.labels) mask.push_back(label == no_target ? 0 : 1);
  return mask;
}

TEST(EncodeConversation, IdsAndTargetsAreTransformers) {
  const auto chats = nlohmann::ordered_json::parse(chat_file("chats.json"));
  std::map<std::string, Tokenizer> tokenizers;
  std::ifstream expected(fixture("chat") / "expected.jsonl");
  std::string line;
  std::getline(expected, line);
  int compared = 0;
  while (std::getline(expected, line)) {
    const auto row = nlohmann::json::parse(line);
    const std::string folder = row["tokenizer"], chat = row["chat"];
    if (!tokenizers.contains(folder)) tokenizers.emplace(folder, load_tokenizer(text_fixture(folder)));
    const Tokenizer& words = tokenizers.at(folder);
    for (const char* form : {"", "_tagged"}) {
      const std::string name = row["template"].get<std::string>() + form;
      SCOPED_TRACE(folder + "/" + name + "/" + chat);
      const ChatFormat format(fixture_template(name, words, folder), words);
      ChatNotes notes;
      const Example example = encode_conversation(format, row_of(chats[chat]), TrainOn::assistant, 0, notes);
      EXPECT_EQ(example.tokens, row["input_ids"].get<std::vector<int64_t>>());
      EXPECT_EQ(mask_of(example), row["mask"].get<std::vector<int64_t>>());
      if (chats[chat].back()["role"] == "user") {
        EXPECT_EQ(format.prompt(row_of(chats[chat]).conversation, notes),
                  row["prompt_ids"].get<std::vector<int64_t>>());
      }
      ++compared;
    }
  }
  EXPECT_EQ(compared, 108);
}

class Chatml : public testing::Test {
 protected:
  Tokenizer words_ = load_tokenizer(text_fixture("smollm_small"));
  ChatFormat format_{fixture_template("chatml", words_, "smollm_small"), words_};
  ChatNotes notes_;

  std::string shown(const nlohmann::ordered_json& messages, TrainOn train_on, int64_t max_length = 0) {
    const Example example = encode_conversation(format_, row_of(messages), train_on, max_length, notes_);
    const std::string text = shown_example(example, &words_, {"[", "]"});
    return text.substr(text.find('\n') + 1);
  }
};

const nlohmann::ordered_json two_answers = {{{"role", "user"}, {"content", "a"}},
                                            {{"role", "assistant"}, {"content", "b"}},
                                            {{"role", "user"}, {"content", "c"}},
                                            {{"role", "assistant"}, {"content", "d"}}};

TEST_F(Chatml, LearnsEveryAnswerTheLastOrAll) {
  const std::string first = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n";
  const std::string second = "\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(shown(two_answers, TrainOn::assistant), first + "[b<|im_end|>]" + second + "[d<|im_end|>]\n\n");
  EXPECT_EQ(shown(two_answers, TrainOn::last), first + "b<|im_end|>" + second + "[d<|im_end|>]\n\n");
  EXPECT_EQ(shown(two_answers, TrainOn::all), "[" + first + "b<|im_end|>" + second + "d<|im_end|>\n]\n");
  EXPECT_EQ(notes_.open_answers, 0);
}

TEST_F(Chatml, FollowsWhatMessagesSay) {
  auto messages = two_answers;
  messages[1]["weight"] = 0;
  const std::string once = shown(messages, TrainOn::assistant);
  EXPECT_EQ(once.find("[b"), std::string::npos);
  EXPECT_NE(once.find("[d<|im_end|>]"), std::string::npos);
  messages[2]["training"] = true;
  EXPECT_NE(shown(messages, TrainOn::assistant).find("<|im_start|>user\n[c<|im_end|>]\n"), std::string::npos);
  EXPECT_EQ(shown(messages, TrainOn::all).find("[b"), std::string::npos);
}

TEST_F(Chatml, KeepsTheFirstTokensOfLongRows) {
  const Example cut = encode_conversation(format_, row_of(two_answers), TrainOn::assistant, 5, notes_);
  EXPECT_EQ(cut.tokens.size(), 5U);
  EXPECT_GT(cut.length, 5);
  EXPECT_EQ(cut.targets(), 0);
}

TEST_F(Chatml, RefusesWhatTheTemplateLeavesOut) {
  const nlohmann::ordered_json call = {{"function", {{"name", "look_up"}, {"arguments", {{"x", 1}}}}}};
  const nlohmann::ordered_json messages = {
      {{"role", "user"}, {"content", "a"}},
      {{"role", "assistant"}, {"content", ""}, {"tool_calls", nlohmann::ordered_json::array({call})}}};
  expect_failure(ErrorKind::invalid, "message 2: the chat template chatml leaves out the tool call look_up",
                 [&] { shown(messages, TrainOn::assistant); });
}

TEST_F(Chatml, SeesALostCallAlsoWhereTheAnswerNamesTheFunction) {
  const nlohmann::ordered_json call = {{"function", {{"name", "search"}, {"arguments", {{"q", "cats"}}}}}};
  const nlohmann::ordered_json messages = {{{"role", "user"}, {"content", "Find cats."}},
                                           {{"role", "assistant"},
                                            {"content", "I will search for cats."},
                                            {"tool_calls", nlohmann::ordered_json::array({call})}}};
  expect_failure(ErrorKind::invalid, "leaves out the tool call search",
                 [&] { shown(messages, TrainOn::assistant); });
}

TEST_F(Chatml, CountsWhatTheTemplateLeavesOut) {
  const nlohmann::ordered_json call = {{"function", {{"name", "size"}, {"arguments", {{"x", 1}}}}}};
  ConversationRow row = row_of({{{"role", "user"}, {"content", "q"}},
                                {{"role", "assistant"},
                                 {"content", "a"},
                                 {"reasoning_content", "think"},
                                 {"weight", 0},
                                 {"tool_calls", nlohmann::ordered_json::array({call})}},
                                {{"role", "tool"}, {"content", "3"}},
                                {{"role", "assistant"}, {"content", "three"}}});
  row.conversation.tools = nlohmann::ordered_json::parse(R"([{"function":{"name":"size"}}])");
  encode_conversation(format_, row, TrainOn::assistant, 0, notes_);
  const std::map<std::string, int64_t> lost{{"reasoning", 1}, {"tool calls", 1}, {"tools", 1}};
  EXPECT_EQ(notes_.lost_parts, lost);
}

TEST(TurnFinder, RefusesAnAnswerInTwoPlaces) {
  const ChatTemplate chat(
      "{% for m in messages %}{{ m.role }}{% endfor %}{% for m in messages %}{{ m.content }}{% endfor %}",
      "twice", {});
  const Conversation conversation{two_answers};
  expect_failure(ErrorKind::invalid, "message 2: the chat template twice writes it in 2 places",
                 [&] { TurnFinder(chat, {}).turns(conversation, chat.render(conversation)); });
}

TEST(TurnFinder, LeavesOutToolResultsWithinATurn) {
  const ChatTemplate chat(
      "{% for m in messages %}{% if m.role != 'tool' %}{{ '<' + m.role + '>' + m.content }}"
      "{% for t in messages[loop.index:loop.index + 1] if t.role == 'tool' %}{{ '(' + t.content + ')' }}"
      "{% endfor %}{{ '<end>' }}{% endif %}{% endfor %}"
      "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}",
      "nested", {});
  Conversation conversation{{{{"role", "user"}, {"content", "q"}},
                             {{"role", "assistant"}, {"content", "call"}},
                             {{"role", "tool"}, {"content", "42"}}}};
  const Rendering rendering = chat.render(conversation);
  ASSERT_EQ(rendering.text, "<user>q<end><assistant>call(42)<end>");
  const auto turns = TurnFinder(chat, {"<end>", "<assistant>"}).turns(conversation, rendering);
  ASSERT_EQ(turns.size(), 1U);
  EXPECT_EQ(turns[0].targets, (std::vector<jinja::Span>{{23, 27}, {31, 36}}));
}

/// Everything that a data set of conversations is, as one text.
std::string whole_of(const Dataset& dataset) {
  std::string whole = facts_of(dataset);
  for (const Example& example : dataset.examples) whole += shown_example(example, nullptr);
  return whole;
}

TEST_F(Chatml, ConversationsWithoutAnAnswerAreRefusedInWords) {
  const TemporaryFolder folder;
  const std::string path =
      folder.write("rows.jsonl", R"({"messages":[{"role":"user","content":"question"}]})").string();
  DatasetOptions options;
  options.chat = [&](bool) -> const ChatFormat& { return format_; };
  try {
    load_dataset(path, &words_, 100'000, options);
    ADD_FAILURE();
  } catch (const Error& error) {
    const std::string told = error.what();
    EXPECT_NE(told.find("the only row does not have a target token; that row, "), std::string::npos) << told;
    EXPECT_NE(told.find("rows.jsonl:1, has no message of the assistant and reads \""), std::string::npos)
        << told;
    EXPECT_EQ(told.find("x0a"), std::string::npos) << told;
  }
}

TEST_F(Chatml, ThreadsAndCacheChangeNothingOfConversations) {
  const TemporaryFolder folder;
  std::string rows;
  for (int i = 0; i < 700; ++i) {
    nlohmann::ordered_json messages = two_answers;
    messages[0]["content"] = fmt::format("question {}{}", i, i % 100 == 42 ? " <|im_end|>" : "");
    rows += json_text(nlohmann::ordered_json{{"messages", messages}}) + "\n";
  }
  const std::string path = folder.write("rows.jsonl", rows).string();
  DatasetOptions options;
  options.chat = [&](bool) -> const ChatFormat& { return format_; };
  options.threads = 0;
  const std::string expected = whole_of(load_dataset(path, &words_, 100'000, options));
  options.threads = 4;
  EXPECT_EQ(whole_of(load_dataset(path, &words_, 100'000, options)), expected);
  options.cache = folder.path() / "cache";
  options.cache_from_bytes = 0;
  for (int i = 0; i < 2; ++i) EXPECT_EQ(whole_of(load_dataset(path, &words_, 100'000, options)), expected);
  const std::string key = RowCache::of(path, &words_, 100'000, options)->key();
  const ChatFormat other(fixture_template("chatml", words_, "smollm_small"), words_, {{"name", "value"}});
  options.chat = [&](bool) -> const ChatFormat& { return other; };
  EXPECT_NE(RowCache::of(path, &words_, 100'000, options)->key(), key) << "another variable";
  const Tokenizer gpt2 = load_tokenizer(text_fixture("gpt2_small"));
  options.chat = [&](bool) -> const ChatFormat& { return format_; };
  EXPECT_EQ(RowCache::of(path, &words_, 100'000, options)->key(), key);
  EXPECT_NE(RowCache::of(path, &gpt2, 100'000, options)->key(), key) << "another tokenizer";
}

/// The template of a file that works without end for a question of "much".
constexpr const char* endless =
    "{% for m in messages %}{% if m.content == 'much' %}{% for i in range(30000) %}{% for j in range(30000) "
    "%}"
    "{% endfor %}{% endfor %}{% endif %}{{ m.role + m.content + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant' }}{% endif %}";

TEST_F(Chatml, TheFirstRowBeyondARendersLimitEndsTheReading) {
  const ChatFormat format(ChatTemplate(endless, "endless", {}), words_);
  const TemporaryFolder folder;
  nlohmann::ordered_json messages = two_answers;
  std::string rows = json_text(nlohmann::ordered_json{{"messages", messages}}) + "\n{}\n";
  messages[0]["content"] = "much";
  for (int i = 0; i < 2000; ++i) rows += json_text(nlohmann::ordered_json{{"messages", messages}}) + "\n";
  const std::string path = folder.write("rows.jsonl", rows).string();
  for (const unsigned threads : {0U, 2U}) {
    std::atomic<int> begun = 0;
    DatasetOptions options;
    options.threads = threads;
    options.chat = [&](bool) -> const ChatFormat& {
      ++begun;
      return format;
    };
    try {
      load_dataset(path, &words_, 100'000, options);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      const std::string told = error.what();
      EXPECT_NE(told.find("rows.jsonl:2: "), std::string::npos) << told;
      EXPECT_NE(told.find("rows.jsonl:3: chat template endless, line 1"), std::string::npos) << told;
      EXPECT_TRUE(told.ends_with("steps of work, the limit of a render; the rest was not read")) << told;
    }
    // Of each thread, what it had begun meanwhile.
    EXPECT_LE(begun, 2 + static_cast<int>(threads) + 1);
  }
}

TEST(TurnFinder, FindsTheLastOfManySpecialTokens) {
  std::vector<std::string> tokens;
  for (int i = 0; i < 256; ++i) tokens.push_back(fmt::format("<|reserved_{}|>", i));
  tokens.emplace_back("<|end|>");
  const TurnFinder finder(ChatTemplate("{{ messages[0].content }}", "one", {{"eos_token", "</s>"}}), tokens);
  for (const char* ended :
       {"yes<|end|>", "yes</s> \n", "<|end|>yes<|reserved_255|>", "a<|end|><|reserved_1|>"})
    EXPECT_TRUE(finder.ends_in_special_token(ended)) << ended;
  for (const char* open : {"", "yes", "yes<|end|>no", "yes<|reserved_256|>", "yes<|end|"})
    EXPECT_FALSE(finder.ends_in_special_token(open)) << open;
}

}  // namespace
}  // namespace lowrank::test
