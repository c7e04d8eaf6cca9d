#include "tokenizer/files/gguf_pre_tokenizers.h"

#include <gtest/gtest.h>

#include "tokenizer/steps/splitter.h"

namespace lowrank {
namespace {

/// The pieces that the only pattern of an entry cuts a text into.
std::vector<std::string> pieces(std::string_view name, std::string_view text) {
  const GgufPreTokenizer& entry = *gguf_pre_tokenizer(name);
  const Splitter splitter(Split{std::string(entry.patterns.at(0))}, "test");
  std::vector<std::string> found;
  splitter.split(text, Splitter::Scratch(text.size()),
                 [&](std::string_view piece) { found.emplace_back(piece); });
  return found;
}

using Pieces = std::vector<std::string>;

TEST(GgufPreTokenizers, Gpt4oKeepsContractionsWithTheirWords) {
  EXPECT_EQ(pieces("gpt-4o", "It's McDonald's path/\n 12345 I'LL"),
            (Pieces{"It's", " Mc", "Donald's", " path", "/\n", " ", "123", "45", " I'LL"}));
}

TEST(GgufPreTokenizers, DbrxAndSmaugCutAsLlama3AndKeepNoWordWhole) {
  for (const char* name : {"dbrx", "smaug-bpe"}) {
    EXPECT_EQ(pieces(name, "It's McDonald's 12345"),
              (Pieces{"It", "'s", " McDonald", "'s", " ", "123", "45"}));
    EXPECT_FALSE(gguf_pre_tokenizer(name)->ignore_merges);
    EXPECT_FALSE(gguf_pre_tokenizer(name)->then_gpt2);
  }
  EXPECT_TRUE(gguf_pre_tokenizer("llama-bpe")->ignore_merges);
}

TEST(GgufPreTokenizers, OthersAreNotKnown) {
  EXPECT_EQ(gguf_pre_tokenizer("no-such"), nullptr);
}

}  // namespace
}  // namespace lowrank
