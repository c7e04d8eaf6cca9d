// Combined and compared adapters against PEFT's add_weighted_adapter and numpy
// (tests/fixtures/make_combined.py).
#include "peft/algebra/combination.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "formats/block_formats.h"
#include "peft/algebra/comparison.h"
#include "support/expect_error.h"
#include "support/places.h"

namespace lowrank {
namespace {

std::filesystem::path combined_fixtures() {
  return test::fixture("combined");
}

FactoredAdapter stored(const std::string& name) {
  return factors_of(read_adapter(combined_fixtures() / name, ModelSpec()));
}

std::vector<FactoredAdapter> all_stored(const std::vector<std::string>& names) {
  std::vector<FactoredAdapter> adapters;
  for (const std::string& name : names) adapters.push_back(stored(name));
  return adapters;
}

nlohmann::json expected_results() {
  return read_json_file(combined_fixtures() / "expected.json", 1 << 20);
}

at::Tensor values_in(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor* tensor = file.find(name);
  if (!tensor) return {};
  at::Tensor values = at::zeros(tensor->shape, at::kFloat);
  expand(tensor->dtype, tensor->bytes,
         {values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())});
  return values;
}

double furthest(const at::Tensor& x, const at::Tensor& y) {
  return at::abs(x - y).max().item<double>();
}

CombinationOptions options_of(const nlohmann::json& expected) {
  CombinationOptions options;
  options.weights = expected["weights"].get<std::vector<double>>();
  const nlohmann::json& given = expected["options"];
  options.type = given["combination_type"];
  if (given.contains("density")) options.density = given["density"].get<double>();
  if (given.contains("svd_rank")) options.rank = given["svd_rank"].get<int64_t>();
  if (given.contains("svd_clamp")) options.svd_clamp = given["svd_clamp"].get<double>();
  options.majority_sign_method = given.value("majority_sign_method", "total");
  return options;
}

/// Singular vectors have no sign of their own: of these types the products are compared.
void expect_like_peft(const std::string& name, const nlohmann::json& expected, const SafetensorsFile& file) {
  const auto names = expected["adapters"].get<std::vector<std::string>>();
  const CombinationOptions options = options_of(expected);
  const FactoredAdapter result = combine(all_stored(names), names, options);
  const bool factors = !options.type.ends_with("svd");
  size_t modules = 0;
  for (const StoredTensor& tensor : file.tensors())
    modules += tensor.name.starts_with(name + "/") && tensor.name.ends_with("/A") ? 1 : 0;
  EXPECT_EQ(result.updates.size(), modules) << name;
  EXPECT_EQ(result.config["r"], expected["r"]) << name;
  EXPECT_EQ(result.config["lora_alpha"], expected["lora_alpha"]) << name;
  EXPECT_EQ(result.config["target_modules"], expected["target_modules"]) << name;
  EXPECT_EQ(result.config["use_rslora"], false) << name;
  for (const FactoredUpdate& update : result.updates) {
    const at::Tensor a = values_in(file, fmt::format("{}/{}/A", name, update.module));
    const at::Tensor b = values_in(file, fmt::format("{}/{}/B", name, update.module));
    ASSERT_TRUE(a.defined() && b.defined()) << name << " " << update.module;
    ASSERT_EQ(update.rank(), expected["r"].get<int64_t>());
    EXPECT_LT(furthest(at::mm(update.b, update.a), at::mm(b, a)), 2e-6) << name << " " << update.module;
    if (!factors) continue;
    const int64_t own = a.size(0);  // PEFT keeps fewer rows where a pattern gives a lower rank
    EXPECT_LT(furthest(update.a.narrow(0, 0, own), a), 1e-7) << name << " " << update.module;
    EXPECT_LT(furthest(update.b.narrow(1, 0, own), b), 1e-7) << name << " " << update.module;
    EXPECT_EQ(update.a.narrow(0, own, update.rank() - own).abs().sum().item<double>(), 0) << name;
  }
}

TEST(Combination, IsThatOfPeft) {
  const SafetensorsFile file = SafetensorsFile::open(combined_fixtures() / "expected.safetensors");
  const nlohmann::json results = expected_results();
  EXPECT_GT(results["cases"].size(), 20U);
  for (const auto& [name, expected] : results["cases"].items()) expect_like_peft(name, expected, file);
}

TEST(Combination, CatIsTheExactSum) {
  const std::vector<std::string> names{"patterns", "embedding"};
  const std::vector<FactoredAdapter> adapters = all_stored(names);
  CombinationOptions options;
  options.weights = {-2, 0.5};
  const FactoredAdapter result = combine(adapters, names, options);
  for (const FactoredUpdate& update : result.updates) {
    at::Tensor sum = at::zeros({update.b.size(0), update.a.size(1)});
    for (size_t i = 0; i < adapters.size(); ++i) {
      if (const FactoredUpdate* part = adapters[i].find(update.module))
        sum += at::mm(part->b, part->a) * (part->scale * options.weights[i]);
    }
    EXPECT_LT(furthest(at::mm(update.b, update.a), sum), 1e-6) << update.module;
  }
}

TEST(Combination, ResultIsReadAgain) {
  const std::vector<std::string> names{"patterns", "embedding"};
  CombinationOptions options;
  options.weights = {1, 1};
  const FactoredAdapter result = combine(all_stored(names), names, options);
  AdapterContents contents;
  contents.config = result.config;
  const std::vector<FileTensor> tensors = tensors_of(result);
  for (const FileTensor& tensor : tensors) {
    const at::Tensor& kept = contents.values.emplace_back(tensor.value.contiguous());
    const std::span<const float> data(kept.const_data_ptr<float>(), static_cast<size_t>(kept.numel()));
    contents.tensors[tensor.name] = {tensor.name, DType::f32, kept.sizes().vec(), std::as_bytes(data)};
  }
  const FactoredAdapter again = factors_of(contents);
  const AdapterComparison same = compare(result, again);
  EXPECT_EQ(again.updates.size(), result.updates.size());
  EXPECT_NEAR(same.norm, same.other_norm, 1e-12);
  EXPECT_NEAR(*same.cosine, 1, 1e-12);
}

/// One module whose factors are ones, so that what a mask leaves can be counted.
FactoredAdapter of_ones(int64_t rank, int64_t width) {
  FactoredAdapter adapter = stored("first");
  adapter.updates = {{"layers.0.q_proj", false, 1, at::ones({rank, width}), at::ones({width, rank})}};
  adapter.rank = rank;
  return adapter;
}

TEST(Combination, RandomMasksKeepTheShareAndTheMean) {
  CombinationOptions options;
  options.type = "dare_linear";
  options.weights = {1, 0};
  options.density = 0.3;
  const std::vector<FactoredAdapter> adapters{of_ones(64, 2000), of_ones(64, 2000)};
  const at::Tensor a = combine(adapters, {"one", "two"}, options).updates.front().a;
  const double kept = (a != 0).to(at::kDouble).mean().item<double>();
  EXPECT_NEAR(kept, 0.3, 0.005);  // 5 standard deviations are 0.0064
  EXPECT_NEAR(a.to(at::kDouble).mean().item<double>(), 1, 0.02);
  EXPECT_NEAR(a.max().item<double>(), 1 / 0.3, 1e-5);
  EXPECT_EQ(furthest(combine(adapters, {"one", "two"}, options).updates.front().a, a), 0);
  options.seed = 1;
  EXPECT_GT(furthest(combine(adapters, {"one", "two"}, options).updates.front().a, a), 1);
}

TEST(Combination, RefusesWhatPeftRefuses) {
  const std::vector<std::string> names{"first", "patterns"};
  const std::vector<FactoredAdapter> adapters = all_stored(names);
  CombinationOptions options;
  options.weights = {1, 1};
  options.type = "linear";
  test::expect_error(ErrorKind::invalid, "adapters of the same rank", "first 4, patterns 6",
                     [&] { combine(adapters, names, options); });
  options.type = "ties_svd";
  test::expect_error(ErrorKind::invalid, "", "needs `density`", [&] { combine(adapters, names, options); });
  options.density = 0.5;
  options.weights = {1};
  test::expect_error(ErrorKind::invalid, "", "`weights`: 1 for 2",
                     [&] { combine(adapters, names, options); });
  options = {};
  options.weights = {1, 1};
  test::expect_error(ErrorKind::invalid, "",
                     "expression: target_modules is an expression, that of first a list", [&] {
                       combine(all_stored({"first", "expression"}), {"first", "expression"}, options);
                     });
  options.density = 0.5;
  test::expect_error(ErrorKind::invalid, "", "cat has no `density`",
                     [&] { combine(adapters, names, options); });
  options.density = {};
  options.rank = 3;
  test::expect_error(ErrorKind::invalid, "", "end in svd, not to cat",
                     [&] { combine(adapters, names, options); });
}

TEST(Combination, AClampNeedsABoundAboveZero) {
  const std::vector<std::string> names{"first", "patterns"};
  const std::vector<FactoredAdapter> adapters = all_stored(names);
  CombinationOptions options;
  options.weights = {1, 1};
  options.type = "svd";
  options.svd_clamp = 0.1;
  test::expect_error(ErrorKind::invalid, "`svd_clamp` 0.1", "a bound must be above 0",
                     [&] { combine(adapters, names, options); });
  options.svd_clamp = 0.9;
  EXPECT_NO_THROW(combine(adapters, names, options));
}

TEST(Combination, ModulesTrainedInFullAreTakenFromOne) {
  const auto read = [](const char* name) {
    return factors_of(read_adapter(test::fixture("lora_extras") / name, ModelSpec()));
  };
  CombinationOptions options;
  options.weights = {1, 1};
  const FactoredAdapter one = read("save_head");
  ASSERT_EQ(one.saved.size(), 1U);
  test::expect_error(ErrorKind::invalid, "",
                     "b: base_model.model.lm_head.weight is also trained in full by another", [&] {
                       combine({one, one}, {"a", "b"}, options);
                     });
  const FactoredAdapter result = combine({one, stored("first")}, {"a", "b"}, options);
  EXPECT_EQ(result.config["modules_to_save"], nlohmann::json({"lm_head"}));
  ASSERT_EQ(result.saved.size(), 1U);
  EXPECT_EQ(furthest(result.saved.front().value, one.saved.front().value), 0);
  for (const char* name : {"bias_all", "lora_bias", "token_rows"}) {
    test::expect_error(ErrorKind::unsupported, "", "a: it trains more than low-rank factors", [&] {
      combine({read(name), read(name)}, {"a", "b"}, options);
    });
  }
}

TEST(Combination, OtherBasesAreRefused) {
  FactoredAdapter other = stored("first");
  other.updates.front().a = at::ones({4, 7});
  CombinationOptions options;
  options.weights = {1, 1};
  test::expect_error(ErrorKind::invalid, "a, b: the tensors do not fit each other",
                     "is [32, 32] in one and [32, 7] in another", [&] {
                       combine({stored("first"), other}, {"a", "b"}, options);
                     });
  test::expect_error(ErrorKind::invalid, "", "do not fit those of", [&] { compare(stored("first"), other); });
}

TEST(Comparison, IsThatOfTheFullUpdates) {
  const nlohmann::json results = expected_results();
  ASSERT_EQ(results["comparisons"].size(), 8U);
  for (const nlohmann::json& expected : results["comparisons"]) {
    const AdapterComparison found =
        compare(stored(expected["adapters"][0].get<std::string>()),
                stored(expected["adapters"][1].get<std::string>()), expected["directions"].get<int64_t>());
    EXPECT_NEAR(found.norm, expected["norms"][0].get<double>(), 1e-6);
    EXPECT_NEAR(found.other_norm, expected["norms"][1].get<double>(), 1e-6);
    EXPECT_NEAR(*found.cosine, expected["cosine"].get<double>(), 1e-7);
    ASSERT_EQ(found.modules.size(), expected["modules"].size());
    for (const ModuleComparison& module : found.modules) {
      const nlohmann::json& numbers = expected["modules"].at(module.module);
      const auto expect_near = [&](const std::optional<double>& value, const nlohmann::json& wanted) {
        ASSERT_EQ(value.has_value(), !wanted.is_null()) << module.module;
        if (value) {
          EXPECT_NEAR(*value, wanted.get<double>(), 1e-6) << module.module;
        }
      };
      const nlohmann::json none;
      expect_near(module.norm, numbers["norms"][0]);
      expect_near(module.other_norm, numbers["norms"][1]);
      expect_near(module.cosine, numbers.value("cosine", none));
      expect_near(module.input_overlap, numbers.value("input_overlap", none));
      expect_near(module.output_overlap, numbers.value("output_overlap", none));
    }
  }
}

TEST(Comparison, AnUpdateOfZeroHasNoDirection) {
  FactoredAdapter zero = stored("first");
  for (FactoredUpdate& update : zero.updates) update.b = at::zeros(update.b.sizes());
  const AdapterComparison found = compare(zero, stored("first"));
  EXPECT_EQ(found.norm, 0);
  EXPECT_FALSE(found.cosine || found.input_overlap || found.output_overlap);
  EXPECT_FALSE(found.modules.front().cosine || found.modules.front().input_overlap);
  EXPECT_NEAR(*compare(stored("first"), stored("first")).cosine, 1, 1e-12);
}

TEST(FactoredUpdates, NaturalOrder) {
  EXPECT_TRUE(natural_less("layers.2.q", "layers.10.q"));
  EXPECT_FALSE(natural_less("layers.10.q", "layers.2.q"));
  EXPECT_FALSE(natural_less("layers.2.q", "layers.2.q"));
  EXPECT_TRUE(natural_less("layers.02.q", "layers.2.q") != natural_less("layers.2.q", "layers.02.q"));
  EXPECT_TRUE(natural_less("a", "a1"));
  EXPECT_TRUE(natural_less("x.1.a", "x.1.b"));
}

}  // namespace
}  // namespace lowrank
