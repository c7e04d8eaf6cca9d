// What a step holds in tensors: linear in the length of a sequence, independent of the vocabulary beyond one
// chunk of logits, the same in every later step.
#include <algorithm>

#include <ATen/core/Tensor.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include "model/registry.h"
#include "peft/core/registry.h"
#include "support/load_forms.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

/// Counts the bytes of all tensors that this thread allocates and frees, as reported by libtorch.
class TensorBytes : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void* /*place*/, int64_t bytes, size_t /*allocated*/, size_t /*reserved*/,
                         c10::Device /*device*/) override {
    now += bytes;
    most = std::max(most, now);
  }
  bool memoryProfilingEnabled() const override { return true; }

  int64_t now = 0, most = 0;
};

/// A Llama of these sizes with LoRA.
class Memory {
 public:
  Memory(int64_t vocabulary, std::vector<Example> rows, int64_t batch_size) : rows_(std::move(rows)) {
    nlohmann::json config = test::tiny_llama_config();
    config["vocab_size"] = vocabulary;
    config["max_position_embeddings"] = 8192;
    test::write_tiny_model(folder_.path(), config);
    checkpoint_ = Checkpoint::open(folder_.path());
    const MethodInfo& info = method_named("lora");
    adapter_ = make_adapter(info, info.make(), *checkpoint_);
    adapter_.method->initialise(*checkpoint_, 1);
    LoadOptions load = test::in_f32();
    load.training = true;
    load.use = uses_of(adapter_.plan);
    model_ = checkpoint_->family().load(checkpoint_, load);
    TrainOptions options;
    options.steps = 40;
    options.batch_size = batch_size;
    options.shuffle = false;
    trainer_ = std::make_unique<ExampleTrainer>(*model_, adapter_, rows_, options);
  }

  /// Peak bytes that a step adds, and those left after it.
  std::pair<int64_t, int64_t> step() {
    const auto bytes = std::make_shared<TensorBytes>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, bytes);
    trainer_->step();
    return {bytes->most, bytes->now};
  }

 private:
  test::TemporaryFolder folder_;
  std::vector<Example> rows_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  Adapter adapter_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<ExampleTrainer> trainer_;
};

int64_t most_of_second_step(int64_t vocabulary, int64_t length) {
  Memory memory(vocabulary, test::random_examples({length}, vocabulary), 1);
  memory.step();
  return memory.step().first;
}

TEST(ActivationMemory, IsLinearInTheLengthOfASequence) {
  const auto shorter = static_cast<double>(most_of_second_step(64, 2048));
  const auto longer = static_cast<double>(most_of_second_step(64, 8192));
  EXPECT_GT(shorter, 2048 * 32 * 4);  // a hidden state at least: the tensors are counted
  EXPECT_LT(longer, 4.1 * shorter);
}

TEST(ActivationMemory, HoldsOneChunkOfLogitsWhateverTheVocabulary) {
  constexpr int64_t rows = 600, vocabulary = 100000, chunk_bytes = 32 << 20;
  const int64_t small = most_of_second_step(64, rows), large = most_of_second_step(vocabulary, rows);
  EXPECT_GT(large - small, chunk_bytes / 2);
  EXPECT_LT(large - small, chunk_bytes + (4 << 20));
  EXPECT_GT(rows * vocabulary * 4, 7 * chunk_bytes);  // all logits would be far more
}

/// Each step has other lengths, the longest first.
TEST(ActivationMemory, DoesNotGrowOverSteps) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 80; ++i) lengths.push_back(200 - 2 * i - i % 3);
  Memory memory(64, test::random_examples(lengths, 64), 2);
  memory.step();
  const int64_t most = memory.step().first;
  for (int step = 3; step <= 40; ++step) {
    const auto [now, left] = memory.step();
    EXPECT_LE(now, most) << step;
    EXPECT_EQ(left, 0) << step;
  }
}

}  // namespace
}  // namespace lowrank
