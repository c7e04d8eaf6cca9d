// Inputs that were findings once, and some that must keep being handled, run through the fuzz targets.
#include <filesystem>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "fuzz/target.h"
#include "support/temporary_folder.h"

namespace lowrank::fuzz {

extern const Target adapter_target, chat_template_target, conversations_target, folder_model_target,
    gguf_target, gguf_model_target, gguf_split_target, rows_target, safetensors_target,
    safetensors_index_target, serve_request_target, sources_target, tokenizer_target, yaml_target;

namespace {

const std::map<std::string, const Target*> targets = {{"adapter", &adapter_target},
                                                      {"chat_template", &chat_template_target},
                                                      {"conversations", &conversations_target},
                                                      {"folder_model", &folder_model_target},
                                                      {"gguf", &gguf_target},
                                                      {"gguf_model", &gguf_model_target},
                                                      {"gguf_split", &gguf_split_target},
                                                      {"rows", &rows_target},
                                                      {"safetensors", &safetensors_target},
                                                      {"safetensors_index", &safetensors_index_target},
                                                      {"serve_request", &serve_request_target},
                                                      {"sources", &sources_target},
                                                      {"tokenizer", &tokenizer_target},
                                                      {"yaml", &yaml_target}};

TEST(FuzzRegressions, EveryInputIsAnswered) {
  size_t inputs = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(LOWRANK_SOURCE "/tests/fuzz/regressions")) {
    if (!entry.is_regular_file()) continue;
    const std::string target = entry.path().parent_path().filename();
    SCOPED_TRACE(entry.path().string());
    ASSERT_TRUE(targets.contains(target));
    EXPECT_NO_THROW(targets.at(target)->run(test::content_of(entry.path())));
    ++inputs;
  }
  EXPECT_GT(inputs, 0);
}

/// What a mutator makes of an empty or a short input, and of its own result, must be runnable.
TEST(FuzzRegressions, MutatorsTakeAnyInput) {
  Mutation mutation{std::mt19937(1), [](uint8_t* data, size_t size, size_t) {
                      if (size > 0) ++data[size / 2];
                      return size;
                    }};
  for (const auto& [name, target] : targets) {
    SCOPED_TRACE(name);
    if (!target->mutate) continue;
    for (const char* start : {"", "a", "{\"a\": [1, \"b\"]}"}) {
      std::string input = start;
      for (int times = 0; times < 20; ++times) input = target->mutate(input, mutation);
      EXPECT_NO_THROW(target->run(input));
    }
  }
}

}  // namespace
}  // namespace lowrank::fuzz
