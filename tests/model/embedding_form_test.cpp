// What sentence-transformers folders specify, in both layouts, and what is refused by name.
#include "model/embeddings/embedding_form.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

constexpr int64_t width = 32;

class SentenceFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_.path() / "1_Pooling");
    modules({"Transformer", "Pooling"});
    pooling("{}");
  }

  static std::string module(const std::string& type, const std::string& path) {
    return R"({"type":"sentence_transformers.models.)" + type + R"(","path":)" + path + "}";
  }
  void modules(const std::vector<std::string>& kinds) const {
    std::string list;
    for (const std::string& kind : kinds)
      list += (list.empty() ? "" : ",") + module(kind, kind == "Pooling" ? R"("1_Pooling")" : R"("")");
    file("modules.json", "[" + list + "]");
  }
  void pooling(const std::string& json) const { file("1_Pooling/config.json", json); }
  void file(const std::string& name, const std::string& json) const { folder_.write(name, json); }
  EmbeddingForm form() const {
    ModelSpec spec;
    spec.task = Task::embedding;
    spec.hidden_size = width;
    return embedding_form(folder_.path(), spec);
  }
  void refused(ErrorKind kind, const std::string& where, const std::string& part) const {
    test::expect_error(kind, where, part, [&] { form(); });
  }

  test::TemporaryFolder folder_;
};

TEST_F(SentenceFolder, PoolingsOfBothLayoutsAreRead) {
  const std::vector<std::pair<const char*, Pooling>> cases = {
      {R"({"word_embedding_dimension":32,"pooling_mode_mean_tokens":true})", Pooling::mean},
      {R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false})", Pooling::first},
      {R"({"pooling_mode_cls_token":false,"pooling_mode_mean_tokens":false})", Pooling::mean},
      {R"({"pooling_mode_lasttoken":true})", Pooling::last},
      {R"({"embedding_dimension":32,"pooling_mode":"mean","include_prompt":true})", Pooling::mean},
      {R"({"pooling_mode":"cls"})", Pooling::first},
      {R"({"pooling_mode":["cls"]})", Pooling::first},
      // The older flags do not count if the newer name is given.
      {R"({"pooling_mode":"cls","pooling_mode_max_tokens":true})", Pooling::first},
      {"{}", Pooling::mean},
  };
  for (const auto& [json, expected] : cases) {
    pooling(json);
    EXPECT_EQ(form().pooling, expected) << json;
  }
}

TEST_F(SentenceFolder, PoolingsThatAreNotComputedAreRefusedByName) {
  const auto unsupported = [&](const std::string& json, const std::string& part) {
    pooling(json);
    refused(ErrorKind::unsupported, "1_Pooling/config.json", part);
  };
  unsupported(R"({"pooling_mode":"max"})", "\"max\" is not supported");
  unsupported(R"({"pooling_mode_weightedmean_tokens":true})", "\"weightedmean\" is not supported");
  unsupported(R"({"pooling_mode":["mean","max"]})", "several poolings together (mean, max)");
  unsupported(R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true})", "(cls, mean)");
  const auto corrupt = [&](const std::string& json, const std::string& part) {
    pooling(json);
    refused(ErrorKind::corrupt, "1_Pooling/config.json", part);
  };
  corrupt(R"({"word_embedding_dimension":384})", "\"word_embedding_dimension\" is 384");
  corrupt(R"({"embedding_dimension":64})", "hidden states have 32 values");
  corrupt(R"({"pooling_mode":3})", "\"pooling_mode\" must be a name, or several, not 3");
  corrupt(R"({"pooling_mode_cls_token":"yes"})", "must be true or false");
  corrupt("[]", "not a JSON object");
}

TEST_F(SentenceFolder, ModulesAreKnownInOrderAndInsideTheFolder) {
  modules({"Transformer", "Pooling", "Normalize"});
  EXPECT_TRUE(form().normalised);
  for (const auto& kinds : std::vector<std::vector<std::string>>{
           {"Pooling", "Transformer"}, {"Transformer"}, {"Transformer", "Normalize", "Pooling"}, {}}) {
    modules(kinds);
    refused(ErrorKind::unsupported, "modules.json", "are not supported");
  }
  modules({"Transformer", "Pooling", "CNN"});
  refused(ErrorKind::unsupported, "modules.json: module 3", "models.CNN\" is not supported");
  modules({"Transformer", "Pooling", "Normalize", "Dense"});
  refused(ErrorKind::unsupported, "modules.json", "are not supported");
  for (const char* path : {R"("/etc")", R"("../other")", R"("1_Pooling/../../x")"}) {
    file("modules.json", "[" + module("Transformer", R"("")") + "," + module("Pooling", path) + "]");
    refused(ErrorKind::corrupt, "modules.json: module 2", "leads out of the model's folder");
  }
  file("modules.json", "[" + module("Transformer", "5") + "]");
  refused(ErrorKind::corrupt, "modules.json: module 1", "\"path\" must be a string, not 5");
  file("modules.json", R"({"0":1})");
  refused(ErrorKind::corrupt, "modules.json", "not a JSON array");
  file("modules.json", R"([{"type":"custom.Pooling","path":""}])");
  refused(ErrorKind::unsupported, "modules.json", "\"custom.Pooling\" is not supported");
}

TEST_F(SentenceFolder, TheLongestTextIsTheModelsOwn) {
  EXPECT_FALSE(form().max_tokens.has_value());
  file("tokenizer_config.json", R"({"model_max_length":300})");
  EXPECT_EQ(form().max_tokens, 300);
  file("sentence_bert_config.json", R"({"max_seq_length":null})");
  EXPECT_EQ(form().max_tokens, 300);
  file("sentence_bert_config.json", R"({"max_seq_length":256,"do_lower_case":true})");
  EXPECT_EQ(form().max_tokens, 256);
  EXPECT_TRUE(form().lowercase);
  file("tokenizer_config.json", R"({"model_max_length":1000000000000000019884624838656})");
  file("sentence_bert_config.json", "{}");
  EXPECT_GT(form().max_tokens, 1'000'000);
  for (const char* bad : {R"("256")", "-1", "0", "2.5"}) {
    file("sentence_bert_config.json", R"({"max_seq_length":)" + std::string(bad) + "}");
    refused(ErrorKind::corrupt, "sentence_bert_config.json", "\"max_seq_length\" must be a whole number");
  }
}

TEST_F(SentenceFolder, ADefaultPromptStandsInFrontOfTexts) {
  file("config_sentence_transformers.json",
       R"({"prompts":{"query":"query: ","document":""},"default_prompt_name":"query"})");
  EXPECT_EQ(form().prompt, "query: ");
  pooling(R"({"include_prompt":false})");
  refused(ErrorKind::unsupported, "config.json", "include_prompt");
  file("config_sentence_transformers.json", R"({"prompts":{"query":"q"},"default_prompt_name":null})");
  EXPECT_EQ(form().prompt, "");
  file("config_sentence_transformers.json", R"({"prompts":{},"default_prompt_name":"query"})");
  refused(ErrorKind::corrupt, "config_sentence_transformers.json", "which \"prompts\" lacks");
}

}  // namespace
}  // namespace lowrank
