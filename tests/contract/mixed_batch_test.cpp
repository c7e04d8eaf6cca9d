// A batch whose sequences have different adapters gives each sequence what it gets alone: every method
// together with two others of different ranks and the bare base, on every family.
#include <numeric>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "contract/contract.h"
#include "data/training_batch.h"
#include "peft/bank/adapter_bank.h"
#include "peft/core/registry.h"
#include "support/expect_error.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

/// The family's tiny configuration; encoders lose their label head, which would be trained in full.
nlohmann::json config_of(const FamilyInfo& family) {
  nlohmann::json config = family.tiny_config();
  if (!config.contains("id2label")) return config;
  config.erase("id2label");
  config["architectures"] = {family.name == "bert" ? "BertModel" : "RobertaModel"};
  return config;
}

class MixedBatch : public testing::TestWithParam<test::ContractCase> {
 protected:
  void SetUp() override {
    test::write_tiny_model(folder_.path(), config_of(*GetParam().family));
    checkpoint_ = Checkpoint::open(folder_.path());
    LoadOptions options;
    options.compute = at::kDouble;
    options.device = test::test_device();
    model_ = checkpoint_->family().load(checkpoint_, options);
    encodes_ = checkpoint_->spec().task == Task::embedding;
    examples_ = test::random_examples({7, 1, 12, 5, 6, 3}, checkpoint_->spec().vocabulary_size);
  }

  /// With values that all matter.
  Adapter adapter(const MethodInfo& info, std::unique_ptr<Method> method, uint64_t seed) const {
    Adapter made = make_adapter(info, std::move(method), *checkpoint_, at::kDouble);
    made.method->initialise(*checkpoint_, seed);
    const at::NoGradGuard no_grad;
    Philox random(seed);
    at::Tensor& values = made.parameters->values();
    for (int64_t i = 0; i < values.numel(); ++i) values[i] += 0.05 * random.normal();
    return test::on_test_device(std::move(made));
  }
  Adapter adapter(std::string_view name, const nlohmann::json& options, uint64_t seed) const {
    const MethodInfo& info = method_named(name);
    std::unique_ptr<Method> method = info.make();
    apply(method->fields(), options, name);
    return adapter(info, std::move(method), seed);
  }

  Adapter tested() const { return adapter(*GetParam().method, GetParam().make(), 4); }

  Batch batch_of(std::vector<int64_t> examples, const std::vector<int64_t>& adapters) const {
    Batch batch = make_batch(examples_, examples);
    batch.adapters = adapters;
    return batch;
  }

  /// The model's output for each sequence, by its number in the data.
  std::map<int64_t, at::Tensor> said(const Hooks& hooks, Batch batch, KvCache* cache = nullptr) const {
    const at::NoGradGuard no_grad;
    hooks.layout(batch);
    std::vector<int64_t> last;
    for (int64_t s = 0; s < batch.sequences(); ++s) last.push_back(batch.offsets[s + 1] - 1);
    const at::Tensor all = encodes_ ? sequence_embeddings(*model_, {&batch}, hooks, Pooling::last)
                                    : batch_logits(*model_, {&batch}, hooks, last, cache);
    std::map<int64_t, at::Tensor> by_example;
    for (int64_t s = 0; s < batch.sequences(); ++s) by_example[batch.examples[s]] = all[s];
    return by_example;
  }

  /// The tokens [begin, end) of examples, as a pass with a cache gets them.
  Batch piece(const std::vector<int64_t>& examples, const std::vector<int64_t>& adapters, int64_t begin,
              int64_t end) const {
    Batch batch{{}, {}, {0}, {}, examples, std::vector<int64_t>(examples.size(), 4), {}, {}, adapters};
    for (const int64_t example : examples) {
      for (int64_t i = begin; i < end; ++i) {
        batch.tokens.push_back(examples_[example].tokens[i]);
        batch.positions.push_back(i);
      }
      batch.offsets.push_back(batch.token_count());
    }
    return batch;
  }

  static double difference(const at::Tensor& a, const at::Tensor& b) {
    return at::max(at::abs(a - b)).item<double>();
  }

  test::TemporaryFolder folder_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::unique_ptr<Model> model_;
  bool encodes_ = false;
  std::vector<Example> examples_;
};

TEST_P(MixedBatch, GivesEachSequenceWhatItGetsAlone) {
  AdapterBank bank;
  std::optional<Adapter> made;
  try {
    made = tested();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unsupported) throw;
    GTEST_SKIP() << error.what();
  }
  if (!made->plan.uses.empty()) {
    test::expect_error(ErrorKind::unsupported, "replaces tensors of the base", "merge it",
                       [&] { bank.add("own", std::move(*made)); });
    return;
  }
  bank.add("own", std::move(*made));
  bank.add("wide", adapter("lora", {{"rank", 7}, {"target_modules", "all-linear"}}, 5));
  bank.add("vera", adapter("vera", {{"rank", 3}}, 6));

  const std::vector<int64_t> all{0, 1, 2, 3, 4, 5}, adapters{1, 0, no_adapter, 2, 0, 1};
  const auto together = said(bank, batch_of(all, adapters));
  ASSERT_EQ(together.size(), all.size());
  for (const int64_t example : all) {
    const Batch alone = test::batch_of({examples_[example]});
    const Hooks plain;
    const int64_t number = adapters[example];
    const Hooks& own = number == no_adapter ? plain : *bank.adapter(number).method;
    const at::Tensor expected = said(own, alone).begin()->second;
    EXPECT_LT(difference(together.at(example), expected), 1e-11) << "sequence " << example;
    if (number != no_adapter) {
      EXPECT_GT(difference(expected, said(plain, alone).begin()->second), 1e-6) << "sequence " << example;
    }
  }
}

TEST_P(MixedBatch, GoesOnFromACache) {
  AdapterBank bank;
  try {
    Adapter made = tested();
    if (!made.plan.uses.empty()) GTEST_SKIP() << "replaces tensors of the base";
    if (!made.method->can_cache()) GTEST_SKIP() << "whole sequences are computed, without a cache";
    if (encodes_) GTEST_SKIP() << "an encoder has no cache";
    bank.add("own", std::move(made));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unsupported) throw;
    GTEST_SKIP() << error.what();
  }
  bank.add("lora", adapter("lora", {{"rank", 5}}, 5));
  const std::vector<int64_t> examples{0, 2, 4}, adapters{1, no_adapter, 0};
  KvCache cache(6, 64);
  for (const auto& [begin, end] : {std::pair{0, 4}, {4, 5}, {5, 6}}) {
    const auto together = said(bank, piece(examples, adapters, begin, end), &cache);
    const auto whole = said(bank, piece(examples, adapters, 0, end));
    for (const int64_t example : examples)
      EXPECT_LT(difference(together.at(example), whole.at(example)), 1e-11) << example << " at " << end;
  }
}

INSTANTIATE_TEST_SUITE_P(AllMethodsOnAllFamilies, MixedBatch, testing::ValuesIn(test::default_cases()),
                         test::name_of_case);

}  // namespace
}  // namespace lowrank
