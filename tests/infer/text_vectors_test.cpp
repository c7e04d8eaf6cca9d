// Vectors of texts are sentence-transformers' for folders as those of Qwen3-Embedding and EmbeddingGemma, and
// for an encoder, plain and with adapters of PEFT (tests/fixtures/make_embeddings.py).
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "base/json.h"
#include "formats/safetensors.h"
#include "infer/encode.h"
#include "model/checkpoint.h"
#include "model/registry.h"
#include "peft/files/embedding_adapter.h"
#include "support/expect_error.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/temporary_folder.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {
namespace {

class TextVectors : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder = test::fixture(std::string("embeddings/") + GetParam());
    checkpoint = Checkpoint::open(folder);
    form = embedding_form(folder, checkpoint->spec());
    expected = read_json_file(folder / "texts.json", 1 << 22);
  }

  std::vector<std::vector<int64_t>> ids(const std::string& prompt) const {
    const Tokenizer tokenizer = load_tokenizer(folder);
    std::vector<std::vector<int64_t>> all;
    for (const nlohmann::json& text : expected["texts"])
      all.push_back(tokenizer.encode(prompt + text.get<std::string>(), true));
    return all;
  }

  void expect_vectors(const char* key, const std::string& prompt, const InferenceHooks& hooks) const {
    const auto model = checkpoint->family().load(checkpoint, test::in_f32());
    const at::Tensor vectors = embed_texts(*model, hooks, ids(prompt), 3, form);
    ASSERT_EQ(vectors.size(1), form.width(checkpoint->spec().hidden_size));
    double largest = 0;
    for (int64_t i = 0; i < vectors.size(0); ++i) {
      const auto own = expected[key][i].get<std::vector<double>>();
      ASSERT_EQ(std::ssize(own), vectors.size(1));
      for (int64_t k = 0; k < vectors.size(1); ++k)
        largest = std::max(largest, std::abs(vectors[i][k].item<double>() - own[k]));
    }
    EXPECT_LT(largest, 1e-4) << key;
  }

  std::filesystem::path folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  EmbeddingForm form;
  nlohmann::json expected;
};

TEST_P(TextVectors, AreSentenceTransformers) {
  EXPECT_EQ(ids(""), expected["ids"].get<std::vector<std::vector<int64_t>>>());
  expect_vectors("vectors", "", InferenceHooks());
  if (expected.contains("query")) {
    expect_vectors("query", form.prompt_of("query"), InferenceHooks());
  }
}

TEST_P(TextVectors, WithAnAdapterArePefts) {
  const Adapter adapter = load_adapter(folder / "adapter", *checkpoint);
  expect_vectors("adapted", "", InferenceHooks(adapter));
}

TEST_P(TextVectors, AdaptersAreWrittenAsPeftWritesThem) {
  const Adapter adapter = load_adapter(folder / "adapter", *checkpoint);
  const test::TemporaryFolder own;
  write_embedding_adapter(own.path(), adapter, "base");
  EXPECT_EQ(read_json_file(own.path() / "adapter_config.json", 1 << 20)["task_type"], "FEATURE_EXTRACTION");
  const SafetensorsFile ours = SafetensorsFile::open(own.path() / "adapter_model.safetensors"),
                        theirs = SafetensorsFile::open(folder / "adapter/adapter_model.safetensors");
  ASSERT_EQ(ours.tensors().size(), theirs.tensors().size());
  for (const StoredTensor& tensor : theirs.tensors()) {
    const StoredTensor* own_tensor = ours.find(tensor.name);
    ASSERT_TRUE(own_tensor) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(tensor.bytes, own_tensor->bytes)) << tensor.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, TextVectors, testing::Values("qwen3", "gemma3", "bert"),
                         [](const auto& info) { return std::string(info.param); });

TEST(BidirectionalDecoder, ContinuesNoText) {
  const auto checkpoint = Checkpoint::open(test::fixture("embeddings/gemma3"));
  EXPECT_EQ(checkpoint->spec().task, Task::embedding);
  EXPECT_EQ(Checkpoint::open(test::fixture("embeddings/qwen3"))->spec().task, Task::embedding)
      << "its folder has no head";
}

}  // namespace
}  // namespace lowrank
