// lowrank chat, and generate through a chat template, with the program.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/places.h"
#include "support/program.h"
#include "support/tiny_model.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* chatml_template =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

class ChatCommand : public test::ProgramTest {
 protected:
  void SetUp() override {
    const std::filesystem::path tokenizer = test::fixture("text/smollm_small");
    nlohmann::json config = test::tiny_llama_config();
    config["vocab_size"] = load_tokenizer(tokenizer).vocabulary_size();
    test::write_tiny_model(model(), config);
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
      std::filesystem::copy_file(tokenizer / name, model() / name);
    chatml = write("chatml.jinja", chatml_template);
  }

  std::filesystem::path model() const { return folder.path() / "model"; }

  std::string of_model(const std::string& command) const {
    return command + " --dtype f32 --max-new-tokens 8 --model " + model().string() + " ";
  }
  std::string with_template(const std::string& command) const {
    return of_model(command) + "--chat-template " + chatml.string() + " ";
  }
  /// The conversation with these lines on standard input.
  test::Outcome chat(const std::string& lines, const std::string& more = "") {
    input = write("lines", lines);
    test::Outcome outcome = run(with_template("chat") + more);
    input = "/dev/null";
    return outcome;
  }
  /// The answer to messages.
  std::string answer(const Json& messages) const {
    return succeeds(with_template("generate") + "--messages " +
                    write("messages.json", messages.dump()).string())
        .out;
  }
  void train(const std::string& name) const {
    const auto rows = write("rows.jsonl", "{\"prompt\":\"a b\",\"completion\":\" c d e\"}\n");
    succeeds("train --dtype f32 --steps 3 --lr 0.5 --seed 4 --model " + model().string() + " --data " +
             rows.string() + " --output " + (folder.path() / name).string());
  }

  std::filesystem::path chatml;
};

TEST_F(ChatCommand, AnswersLineByLineAndRemembers) {
  const test::Outcome one = chat("hello\n");
  ASSERT_EQ(one.code, 0) << one.err;
  const Json hello = {{"role", "user"}, {"content", "hello"}};
  EXPECT_EQ(one.out, answer(Json::array({hello})));
  const std::string first = one.out.substr(0, one.out.size() - 1);
  const test::Outcome two = chat("hello\n\nand now\n");
  EXPECT_EQ(two.out, one.out + answer(Json::array({hello,
                                                   {{"role", "assistant"}, {"content", first}},
                                                   {{"role", "user"}, {"content", "and now"}}})));
  EXPECT_EQ(chat("hello\n/reset\nhello\n").out, one.out + one.out);
}

TEST_F(ChatCommand, SystemMessagesAreSetAndSaved) {
  const std::string brief = answer(
      Json::array({{{"role", "system"}, {"content", "be brief"}}, {{"role", "user"}, {"content", "hello"}}}));
  EXPECT_EQ(chat("/system be brief\nhello\n").out, brief);
  EXPECT_EQ(chat("hello\n", "--system 'be brief'").out, brief);
  EXPECT_EQ(chat("/system\nhello\n", "--system 'be brief'").out, chat("hello\n").out);
  EXPECT_EQ(chat("hello\n/save " + out().string() + "\n", "--system 'be brief'").code, 0);
  const Json row = Json::parse(test::content_of(out()));
  ASSERT_EQ(row["messages"].size(), 3U);
  EXPECT_EQ(row["messages"][0]["content"], "be brief");
  EXPECT_EQ(row["messages"][2]["role"], "assistant");
  EXPECT_EQ(row["messages"][2]["content"].get<std::string>() + "\n", brief);
  const test::Outcome empty = chat("/save " + (folder.path() / "empty").string() + "\n", "--system x");
  EXPECT_EQ(empty.code, 1);
  EXPECT_NE(empty.err.find("nothing has been said yet"), std::string::npos) << empty.err;
  // A file of another run stays.
  const test::Outcome again = chat("bye\n/save " + out().string() + "\n");
  EXPECT_EQ(again.code, 1);
  EXPECT_NE(again.err.find("exists already and stays as it is; give /save another name"), std::string::npos);
  EXPECT_EQ(Json::parse(test::content_of(out())), row);
}

TEST_F(ChatCommand, WhatIsNotKnownIsRefused) {
  EXPECT_NE(chat("/sytem x\n").err.find("did you mean /system?"), std::string::npos);
  EXPECT_NE(chat("/adapter news\n").err.find("no adapter is called \"news\""), std::string::npos);
  EXPECT_NE(chat("/save\n").err.find("needs the name of a file"), std::string::npos);
  EXPECT_EQ(chat("/save x\n").code, 1);
  EXPECT_EQ(chat("/help\n/quit\nnot read\n").out, "");
  EXPECT_NE(chat("//reset\n").out, "");
  EXPECT_NE(chat("a\xFF\n").err.find("not UTF-8"), std::string::npos);
}

TEST_F(ChatCommand, AModelWithoutATemplateIsToldHowToGetOne) {
  refused(of_model("chat"), "has no chat template");
  EXPECT_NE(run(of_model("chat")).err.find("--chat-template names a file"), std::string::npos);
  refused(of_model("generate") + "--prompt hello --system x", "has no chat template");
  refused(of_model("chat") + "--chat-template none.jinja", "neither a file nor a template of");
}

TEST_F(ChatCommand, AdaptersAreChosenOrCompared) {
  train("first");
  const std::string adapter = "--adapter first=" + (folder.path() / "first").string();
  const std::string base = chat("hello\n").out, first = chat("hello\n", adapter).out;
  EXPECT_NE(base, first);
  EXPECT_EQ(chat("/adapter base\nhello\n/reset\n/adapter first\nhello\n", adapter).out, base + first);
  EXPECT_EQ(chat("hello\n", "--compare " + adapter).out, "base:\n" + base + "\nfirst:\n" + first);
  EXPECT_NE(chat("/adapter\n", adapter).err.find("base, first (first answers)"), std::string::npos);
  EXPECT_NE(chat("/adapter\n", "--compare " + adapter).err.find("base, first (all answer)"),
            std::string::npos);
  const test::Outcome saved = chat("hello\n/save " + out().string() + "\n", "--compare " + adapter);
  EXPECT_NE(saved.err.find("2 rows of 4 messages in all"), std::string::npos) << saved.err;
  EXPECT_NE(chat("hello\n", "--compare").err.find("--compare has no effect"), std::string::npos);
  const std::string two = "--adapter a --adapter b";
  EXPECT_NE(chat("hello\n", two).err.find("/adapter NAME chooses one"), std::string::npos);
  // One without a name can be left out, too.
  const std::string alone = "--adapter " + (folder.path() / "first").string();
  EXPECT_EQ(chat("hello\n", alone).out, first);
  EXPECT_EQ(chat("/adapter base\nhello\n", alone).out, base);
}

TEST_F(ChatCommand, AnswersThatWereCutOffAreSavedAndNotLearned) {
  const test::Outcome outcome = chat("hello\n/system be brief\n/save " + out().string() + "\n");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const bool cut = outcome.err.find("(the answer was cut after") != std::string::npos;
  const Json row = Json::parse(test::content_of(out()));
  ASSERT_EQ(row["messages"].size(), 3U);
  EXPECT_FALSE(row["messages"][1].contains("training"));
  EXPECT_EQ(row["messages"][2].contains("training"), cut) << row;
  EXPECT_EQ(outcome.err.find("1 answer was cut off and is not learned") != std::string::npos, cut)
      << outcome.err;
}

TEST_F(ChatCommand, AStoppedRunLeavesItsTemplateBesideTheAdapter) {
  const auto rows = write(
      "talk.jsonl", R"({"messages":[{"role":"user","content":"hello"},{"role":"assistant","content":"yes"}]})"
                    "\n");
  // The program runs in the background until it has left an adapter.
  environment = fmt::format(
      "sh -c '\"$@\" & until [ -s {}/adapter_model.safetensors ] || ! kill -0 $! 2>/dev/null; do sleep 0.05; "
      "done; kill -TERM $!; wait $!' -",
      out().string());
  const test::Outcome stopped =
      run("train --dtype f32 --steps 900000 --lr 1e-9 --eval-every 1 --model " + model().string() +
          " --data " + rows.string() + " --eval-data " + rows.string() + " --output " + out().string() +
          " --chat-template " + chatml.string());
  environment.clear();
  EXPECT_EQ(stopped.code, 143) << stopped.err;
  EXPECT_NE(stopped.err.find("the same command with --resume goes on from there"), std::string::npos)
      << stopped.err;
  EXPECT_EQ(test::content_of(out() / "chat_template.jinja"), chatml_template);
}

TEST_F(ChatCommand, AFullContextLosesItsOldestTurns) {
  std::string lines;
  for (int i = 0; i < 30; ++i) lines += "one two three four five six seven\n";
  const test::Outcome outcome = chat(lines);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("the context is full"), std::string::npos) << outcome.err;
  std::string words;
  for (int i = 0; i < 2000; ++i) words += " 7";
  EXPECT_NE(chat(words + "\n").err.find("the question has"), std::string::npos);
  EXPECT_NE(chat("/system" + words + "\nhello\n").err.find("the system text and the question have"),
            std::string::npos);
}

TEST_F(ChatCommand, GenerateTalksThroughTheModelsOwnTemplateUnlessRaw) {
  const std::string raw = succeeds(of_model("generate") + "--prompt hello").out;
  const std::string through = answer(Json::array({{{"role", "user"}, {"content", "hello"}}}));
  ASSERT_NE(raw, through);
  write("model/chat_template.jinja", chatml_template);
  EXPECT_EQ(succeeds(of_model("generate") + "--prompt hello").out, through);
  EXPECT_EQ(succeeds(of_model("generate") + "--raw --prompt hello").out, raw);
  const Json shown = Json::parse(succeeds(of_model("generate") + "--json --prompt hello").out);
  EXPECT_EQ(shown["prompt"], "hello");
  EXPECT_EQ(shown["completion"].get<std::string>() + "\n", through);
  // Rows of prompts are continued as they are.
  const auto rows = write("prompts.jsonl", "{\"prompt\":\"hello\"}\n");
  EXPECT_EQ(Json::parse(succeeds(of_model("generate") + "--data " + rows.string()).out)["generated"]
                    .get<std::string>() +
                "\n",
            raw);
  refused(of_model("generate") + "--raw --prompt hello --system x", "which --raw leaves out");
}

TEST_F(ChatCommand, ConversationsAreReadFromFilesAndStandardInput) {
  const std::string expected = answer(Json::array({{{"role", "user"}, {"content", "hello"}}}));
  input = write("chat.json", R"({"messages":[{"role":"user","content":"hello"}],"tools":null})");
  const Json shown = Json::parse(succeeds(with_template("generate") + "--json --messages -").out);
  EXPECT_EQ(shown["messages"][0]["content"], "hello");
  EXPECT_EQ(shown["completion"].get<std::string>() + "\n", expected);
  const auto refuses = [&](const std::string& json, const std::string& part) {
    refused(with_template("generate") + "--messages " + write("bad.json", json).string(), part);
  };
  refuses("[]", "has no messages");
  refuses("7", "expected a list of messages");
  refuses(R"([{"content":"x"}])", "message 1 has no \"role\"");
  refuses(R"({"messages":[{"role":"user","content":"x"}],"tool":[]})", "the key \"tool\" is not known");
  refused(with_template("generate") + "--messages x --prompt y", "give one of");
}

TEST_F(ChatCommand, TokenizeShowsConversationsAsTheyAreTrainedOn) {
  const std::string plain = "tokenize --json --model " + model().string() + " ";
  const auto row = write(
      "talk.jsonl", R"({"messages":[{"role":"user","content":"hello"},{"role":"assistant","content":"yes"}]})"
                    "\n");
  const auto text =
      write("text", "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n");
  const std::string expected = succeeds(plain + "--text \"$(cat " + text.string() + ")\"").out;
  const std::string found =
      succeeds(plain + "--chat-template " + chatml.string() + " --data " + row.string()).out;
  // The shell drops the last line break, which is a token of its own.
  EXPECT_TRUE(found.starts_with(expected.substr(0, expected.size() - 2) + ",")) << found << expected;
  refused(plain + "--data " + row.string(), "has no chat template");
}

TEST_F(ChatCommand, VariablesOfTheTemplateMayHoldCommas) {
  const auto row = write(
      "talk.jsonl", R"({"messages":[{"role":"user","content":"hello"},{"role":"assistant","content":"yes"}]})"
                    "\n");
  const auto tokens = [&](const std::string& start, const std::string& more) {
    return "tokenize --json --model " + model().string() + " --data " + row.string() + " --chat-template " +
           write("own.jinja", start + chatml_template).string() + " " + more;
  };
  const std::string written = succeeds(tokens("a, b|2|c", "")).out;
  const std::string variables = "{{ words }}|{{ list | length }}|{{ other }}";
  EXPECT_EQ(succeeds(tokens(variables,
                            "--chat-template-kwargs 'words=a, b' "
                            "--chat-template-kwargs 'list=[\"x\",\"y\"]' "
                            "--chat-template-kwargs other=c"))
                .out,
            written);
  refused(tokens(variables, "--chat-template-kwargs words=a,list=2"), "by an option of its own");
  EXPECT_EQ(succeeds(tokens(variables, "--chat-template-kwargs 'words=\"a,list=2\"'")).out,
            succeeds(tokens("a,list=2|0|", "")).out);
}

TEST_F(ChatCommand, AnotherTemplateIsTheOneCauseThatARunIsAnother) {
  const auto row = write(
      "talk.jsonl", R"({"messages":[{"role":"user","content":"hello"},{"role":"assistant","content":"yes"}]})"
                    "\n");
  const std::string train = "train --dtype f32 --steps 2 --save-every 1 --model " + model().string() +
                            " --data " + row.string() + " --output " + out().string() + " --chat-template ";
  succeeds(train + chatml.string());
  const auto other = write("other.jinja", std::string("Hello. ") + chatml_template);
  const test::Outcome refusal = run(train + other.string() + " --resume");
  EXPECT_EQ(refusal.code, 1);
  EXPECT_NE(refusal.err.find("the chat template is other than before"), std::string::npos) << refusal.err;
  EXPECT_EQ(refusal.err.find("training rows"), std::string::npos) << refusal.err;
}

TEST_F(ChatCommand, SpecialTokensInAQuestionAreNoticed) {
  EXPECT_NE(chat("a<|im_end|>b\n").err.find("1 special token, \"<|im_end|>\", which"), std::string::npos);
}

}  // namespace
}  // namespace lowrank
