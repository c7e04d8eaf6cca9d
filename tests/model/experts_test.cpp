// Mixtures of experts against plain loops in f64; their files in all forms; configurations that cannot be.
#include "model/experts.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "formats/safetensors.h"
#include "kernels/operations/expert_routes.h"
#include "model/decoders/decoder.h"
#include "support/expect_error.h"
#include "support/load_forms.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

using Rows = std::vector<std::vector<double>>;

Rows values_of(const Checkpoint& checkpoint, const std::string& name) {
  const at::Tensor values = checkpoint.read(*checkpoint.spec().find_tensor(name), at::kDouble);
  Rows rows(values.size(0));
  for (int64_t i = 0; i < values.size(0); ++i)
    rows[i].assign(values.const_data_ptr<double>() + i * values.size(1),
                   values.const_data_ptr<double>() + (i + 1) * values.size(1));
  return rows;
}

std::vector<double> times(const Rows& matrix, const std::vector<double>& x) {
  std::vector<double> y;
  for (const std::vector<double>& row : matrix)
    y.push_back(std::inner_product(row.begin(), row.end(), x.begin(), 0.0));
  return y;
}

/// One token's output by the definition.
std::vector<double> plain_output(const Checkpoint& checkpoint, const std::vector<double>& x, size_t used,
                                 bool normalised) {
  const std::string prefix = "model.layers.0.mlp.";
  std::vector<double> p = times(values_of(checkpoint, prefix + "gate.weight"), x);
  double sum = 0;
  for (double& logit : p) sum += logit = std::exp(logit);
  for (double& value : p) value /= sum;
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, [&](size_t a, size_t b) { return p[a] > p[b]; });
  double chosen = 0;
  for (size_t i = 0; i < used; ++i) chosen += p[order[i]];
  std::vector<double> y(x.size(), 0);
  for (size_t i = 0; i < used; ++i) {
    const std::string expert = prefix + "experts." + std::to_string(order[i]) + ".";
    const std::vector<double> gate = times(values_of(checkpoint, expert + "gate_proj.weight"), x);
    std::vector<double> hidden = times(values_of(checkpoint, expert + "up_proj.weight"), x);
    for (size_t j = 0; j < gate.size(); ++j) hidden[j] *= gate[j] / (1 + std::exp(-gate[j]));
    const std::vector<double> out = times(values_of(checkpoint, expert + "down_proj.weight"), hidden);
    for (size_t j = 0; j < y.size(); ++j) y[j] += p[order[i]] / (normalised ? chosen : 1) * out[j];
  }
  return y;
}

class ExpertsOf : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    nlohmann::json config = test::tiny_config("qwen3_moe");
    config["num_experts"] = 5;
    config["norm_topk_prob"] = GetParam();
    test::write_tiny_model(folder_.path(), config);
    checkpoint_ = Checkpoint::open(folder_.path());
    options_.compute = at::kDouble;
    options_.training = true;
    ExpertsConfig wanted;
    wanted.count = 5;
    wanted.used = 2;
    wanted.normalised = GetParam();
    experts_ = load_experts(*checkpoint_, options_, wanted, 0);
  }

  at::Tensor output(const at::Tensor& x) const {
    const Batch batch;
    const Context context{&batch};
    const SequenceLayout layout;
    return apply(experts_, {context, layout, 0}, Hooks(), x);
  }

  test::TemporaryFolder folder_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  LoadOptions options_;
  Experts experts_;
};

TEST_P(ExpertsOf, OutputIsThatOfPlainLoops) {
  const at::Tensor x = at::randn({9, 32}, at::kDouble);
  const at::Tensor y = output(x);
  for (int64_t t = 0; t < x.size(0); ++t) {
    const double* row = x.const_data_ptr<double>() + t * 32;
    const std::vector<double> expected = plain_output(*checkpoint_, {row, row + 32}, 2, GetParam());
    for (int64_t j = 0; j < 32; ++j) EXPECT_NEAR(y[t][j].item<double>(), expected[j], 1e-12);
  }
}

TEST_P(ExpertsOf, GradientGoesThroughTheRoutersProbabilities) {
  at::Tensor x = at::randn({3, 32}, at::kDouble).requires_grad_(true);
  const at::Tensor direction = at::randn({3, 32}, at::kDouble);
  (output(x) * direction).sum().backward();
  const at::Tensor slope = x.grad().clone();
  const at::NoGradGuard no_grad;
  constexpr double step = 1e-6;
  for (int64_t j = 0; j < 32; j += 3) {
    at::Tensor up = x.detach().clone(), down = x.detach().clone();
    up[1][j] += step;
    down[1][j] -= step;
    const double expected = ((output(up) - output(down)) * direction).sum().item<double>() / (2 * step);
    EXPECT_NEAR(slope[1][j].item<double>(), expected, 1e-7 * (1 + std::abs(expected)));
  }
}

INSTANTIATE_TEST_SUITE_P(Normalised, ExpertsOf, testing::Bool(),
                         [](const auto& info) { return info.param ? "by_their_sum" : "not"; });

TEST(ExpertRoutes, SortsPairsByExpertAndThenByToken) {
  const at::Tensor logits = at::zeros({3, 4});
  logits[0][2] = 2;
  logits[0][0] = 1;
  logits[1][3] = 2;
  logits[1][2] = 1;
  logits[2][0] = 2;
  logits[2][2] = 1;
  const ExpertRoutes routes = expert_routes(logits, 2, true);
  EXPECT_EQ(routes.counts, (std::vector<int64_t>{2, 0, 3, 1}));
  const auto* tokens = routes.tokens.const_data_ptr<int64_t>();
  EXPECT_EQ(std::vector<int64_t>(tokens, tokens + 6), (std::vector<int64_t>{0, 2, 0, 1, 2, 1}));
  // The rows 0 to 5 of the pairs: token 0 has rows 2 (expert 2) and 0.
  const at::Tensor rows = at::arange(6, at::kFloat).unsqueeze(1);
  const double first = 1 / (1 + std::exp(-1.0));
  EXPECT_NEAR(weighted_sum(rows, routes)[0].item<double>(), 2 * first, 1e-6);
}

/// A copy of the folder in which the experts' matrices are stacked as transformers holds them in memory.
void stack_experts(const std::filesystem::path& from, const std::filesystem::path& to, int64_t experts) {
  std::filesystem::create_directories(to);
  std::filesystem::copy_file(from / "config.json", to / "config.json");
  const SafetensorsFile file = SafetensorsFile::open(from / "model.safetensors");
  std::vector<StoredTensor> tensors;
  std::vector<std::vector<std::byte>> stacks;
  stacks.reserve(4);
  for (const StoredTensor& tensor : file.tensors()) {
    if (tensor.name.find(".experts.") == std::string::npos) tensors.push_back(tensor);
  }
  const std::string prefix = "model.layers.0.mlp.experts.";
  for (const std::vector<std::string>& parts :
       {std::vector<std::string>{"gate_proj", "up_proj"}, std::vector<std::string>{"down_proj"}}) {
    std::vector<std::byte>& bytes = stacks.emplace_back();
    std::vector<int64_t> shape;
    for (int64_t e = 0; e < experts; ++e) {
      for (const std::string& part : parts) {
        const StoredTensor& own = *file.find(fmt::format("{}{}.{}.weight", prefix, e, part));
        bytes.insert(bytes.end(), own.bytes.begin(), own.bytes.end());
        shape = {experts, own.shape[0] * std::ssize(parts), own.shape[1]};
      }
    }
    tensors.push_back(
        {prefix + (parts.size() == 2 ? "gate_up_proj" : "down_proj"), DType::f32, shape, bytes});
  }
  write_safetensors(to / "model.safetensors", tensors);
}

TEST(ExpertFiles, StacksOfAllExpertsAreRead) {
  const test::TemporaryFolder folder;
  test::write_tiny_model(folder.path() / "one", test::tiny_config("qwen3_moe"));
  stack_experts(folder.path() / "one", folder.path() / "all", 4);
  const auto one = Checkpoint::open(folder.path() / "one");
  const auto all = Checkpoint::open(folder.path() / "all");
  for (const TensorRef& tensor : one->spec().tensors)
    EXPECT_TRUE(at::equal(one->read(tensor, at::kFloat), all->read(tensor, at::kFloat))) << tensor.name;
  nlohmann::json config = test::tiny_config("qwen3_moe");
  config["num_experts"] = 3;
  config["num_experts_per_tok"] = 2;
  folder.write("all/config.json", config.dump());
  test::expect_error(ErrorKind::invalid, "mlp.experts.gate_up_proj",
                     "has shape [4, 32, 32] where [3, 32, 32]",
                     [&] { Checkpoint::open(folder.path() / "all"); });
}

TEST(ExpertFiles, BadConfigurationsNameTheKey) {
  const auto refused = [](const char* family, const char* key, const nlohmann::json& value,
                          const char* part) {
    nlohmann::json config = test::tiny_config(family);
    config[key] = value;
    test::expect_error(ErrorKind::invalid, key, part, [&] { family_of_model_type(family, "").spec(config); });
  };
  refused("mixtral", "num_local_experts", 0, "whole number");
  refused("mixtral", "num_local_experts", "many", "whole number");
  refused("mixtral", "num_local_experts", 150'000, "over all layers");
  refused("mixtral", "num_experts_per_tok", 5, "at most num_local_experts");
  refused("qwen3_moe", "num_experts_per_tok", 5, "at most num_experts");
  refused("qwen3_moe", "mlp_only_layers", {2}, "numbers of layers");
  refused("qwen3_moe", "mlp_only_layers", {0.5}, "numbers of layers");
  refused("qwen3_moe", "decoder_sparse_step", 0, "whole number");
  refused("qwen3_moe", "moe_intermediate_size", -1, "whole number");
  refused("qwen3_moe", "norm_topk_prob", 1, "true or false");
}

TEST(ExpertFiles, WorkPerTokenCountsTheExpertsInUse) {
  nlohmann::json config = test::tiny_config("qwen3_moe");
  config["num_experts_per_tok"] = 2;
  const FamilyInfo& family = family_of_model_type("qwen3_moe", "");
  nlohmann::json more = config;
  more["num_experts"] = 8;
  const int64_t work = family.spec(config).macs_per_token();
  EXPECT_EQ(family.spec(more).macs_per_token() - work, 4 * 32);  // the router's rows
  more["num_experts_per_tok"] = 3;
  EXPECT_EQ(family.spec(more).macs_per_token() - work, 4 * 32 + 3 * 32 * 16);
}

}  // namespace
}  // namespace lowrank
