// Which chat templates a model has, and which of them is used.
#include "tokenizer/chat/template_files.h"

#include "formats/gguf_writer.h"
#include "support/text_fixtures.h"

namespace lowrank::test {
namespace {

/// A model's folder, with the names and sources of its templates.
class TemplateFiles : public testing::Test {
 protected:
  void add(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = folder.path() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  StoredTemplates read() const { return read_chat_templates(folder.path(), {}); }
  /// "default=a tool_use=b"
  static std::string shown(const StoredTemplates& stored) {
    std::string text;
    for (const StoredTemplate& one : stored.templates)
      text += (text.empty() ? "" : " ") + one.name + "=" + one.source;
    return text;
  }
  void refuses(ErrorKind kind, std::string_view part) const {
    expect_failure(kind, part, [&] { read(); });
  }

  Scratch folder;
};

TEST_F(TemplateFiles, AFileOfItsOwnComesBeforeTheConfigurations) {
  EXPECT_EQ(shown(read()), "");
  add("chat_template.json", R"({"chat_template":"processor"})");
  EXPECT_EQ(shown(read()), "default=processor");
  add("tokenizer_config.json", R"({"chat_template":"config"})");
  EXPECT_EQ(shown(read()), "default=config");
  add("chat_template.jinja", "file\n");
  EXPECT_EQ(shown(read()), "default=file\n");
  add("additional_chat_templates/tool_use.jinja", "tools");
  add("additional_chat_templates/rag.jinja", "rag");
  add("additional_chat_templates/README.md", "none");
  EXPECT_EQ(shown(read()), "default=file\n rag=rag tool_use=tools");
}

TEST_F(TemplateFiles, ConfigurationsHoldNamedLists) {
  add("tokenizer_config.json",
      R"({"chat_template":[{"name":"tool_use","template":"t"},{"name":"default","template":"d"},
          {"name":"default","template":"second"}]})");
  EXPECT_EQ(shown(read()), "tool_use=t default=d");
  add("tokenizer_config.json", R"({"chat_template":null})");
  EXPECT_EQ(shown(read()), "");
  add("tokenizer_config.json", R"({"chat_template":[{"name":"default"}]})");
  refuses(ErrorKind::corrupt, "tokenizer_config.json: chat_template is neither");
  add("tokenizer_config.json", R"({"chat_template":{"default":"x"}})");
  refuses(ErrorKind::corrupt, "chat_template is neither");
}

TEST_F(TemplateFiles, RefusesLargeForeignAndBrokenFiles) {
  add("chat_template.jinja", std::string((1 << 20) + 1, 'x'));
  refuses(ErrorKind::invalid, "larger than the 1048576 allowed");
  add("chat_template.jinja", "abc\xFF");
  refuses(ErrorKind::invalid, "not UTF-8 at byte 3");
  add("outside.jinja", "secret");
  std::filesystem::create_directories(folder.path() / "model/additional_chat_templates");
  std::filesystem::create_symlink(folder.path() / "outside.jinja",
                                  folder.path() / "model/additional_chat_templates/x.jinja");
  expect_failure(ErrorKind::invalid, "x.jinja: the link leads out of the folder",
                 [&] { read_chat_templates(folder.path() / "model", {}); });
}

TEST_F(TemplateFiles, ChoosesByNameThenForToolsThenTheDefault) {
  add("chat_template.jinja", "d");
  add("additional_chat_templates/tool_use.jinja", "t");
  add("additional_chat_templates/rag.jinja", "r");
  const StoredTemplates stored = read();
  EXPECT_EQ(choose_template(stored, "", false)->source, "d");
  EXPECT_EQ(choose_template(stored, "", true)->source, "t");
  EXPECT_EQ(choose_template(stored, "rag", true)->source, "r");
  add("own.txt", "from a file");
  EXPECT_EQ(choose_template(stored, (folder.path() / "own.txt").string(), true)->source, "from a file");
  expect_failure(ErrorKind::not_found, R"("default", "rag", "tool_use")",
                 [&] { choose_template(stored, "../additional_chat_templates/rag", false); });
}

TEST_F(TemplateFiles, WithoutADefaultOneMustBeNamed) {
  EXPECT_FALSE(choose_template(read(), "", true));
  expect_failure(ErrorKind::not_found, "which has none", [&] { choose_template(read(), "rag", false); });
  add("tokenizer_config.json", R"({"chat_template":[{"name":"tool_use","template":"t"}]})");
  EXPECT_EQ(choose_template(read(), "", true)->source, "t");
  expect_failure(ErrorKind::invalid, R"("tool_use")", [&] { choose_template(read(), "", false); });
}

TEST_F(TemplateFiles, SpecialTokensAreAbsentWhereUnset) {
  add("tokenizer_config.json", R"({"bos_token":null,"eos_token":{"content":"</s>","lstrip":false},
      "extra_special_tokens":{"image_token":"<image>"}})");
  add("special_tokens_map.json", R"({"eos_token":"<other>","pad_token":"<pad>"})");
  EXPECT_EQ(read().special_tokens,
            (std::map<std::string, std::string>{
                {"eos_token", "</s>"}, {"image_token", "<image>"}, {"pad_token", "<pad>"}}));
}

TEST_F(TemplateFiles, AnAdaptersOwnTemplateComesFirst) {
  add("model/tokenizer_config.json", R"({"chat_template":"model","bos_token":"<s>","eos_token":"</s>"})");
  add("adapter/adapter_config.json", "{}");
  const auto used = [&] {
    return chat_templates_with_adapter(folder.path() / "adapter",
                                       read_chat_templates(folder.path() / "model", {}));
  };
  EXPECT_EQ(shown(used()), "default=model");
  add("adapter/tokenizer_config.json", R"({"eos_token":"<end>"})");
  EXPECT_EQ(shown(used()), "default=model");
  EXPECT_EQ(used().special_tokens.at("eos_token"), "</s>");
  add("adapter/chat_template.jinja", "adapter");
  EXPECT_EQ(shown(used()), "default=adapter");
  EXPECT_EQ(used().special_tokens.at("eos_token"), "<end>");
  EXPECT_EQ(used().special_tokens.at("bos_token"), "<s>");
}

TEST_F(TemplateFiles, GgufFilesNameTheirTemplatesByKey) {
  GgufMetadata keys;
  keys.set_string("general.architecture", "llama");
  keys.set_string("tokenizer.chat_template", "d");
  keys.set_strings("tokenizer.chat_templates", std::vector<std::string>{"tool_use"});
  keys.set_string("tokenizer.chat_template.tool_use", "t");
  const std::filesystem::path file = folder.path() / "model.gguf";
  write_gguf(file, {}, keys);
  TokenizerSpec tokens;
  tokens.vocabulary = {"<unk>", "<s>", "alphabet"};
  tokens.added = {{.content = "<end>", .id = 2, .special = true}};
  tokens.bos = 1;
  tokens.eos = 2;
  const StoredTemplates stored = read_chat_templates(file, tokens);
  EXPECT_EQ(shown(stored), "default=d tool_use=t");
  EXPECT_EQ(stored.special_tokens,
            (std::map<std::string, std::string>{{"bos_token", "<s>"}, {"eos_token", "<end>"}}));
  keys.remove("tokenizer.chat_template");
  write_gguf(file, {}, keys);
  expect_failure(ErrorKind::invalid, "none of the chat templates is the default",
                 [&] { choose_template(read_chat_templates(file, tokens), "", false); });
}

}  // namespace
}  // namespace lowrank::test
