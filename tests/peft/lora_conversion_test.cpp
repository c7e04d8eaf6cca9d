// Adapters of every method as LoRA: exact where the method only adds factors, the best approximation
// elsewhere; and what PEFT's convert_to_lora makes of the same adapters.
#include <set>

#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "peft/conversion/as_low_rank.h"
#include "support/adapters.h"
#include "support/expect_error.h"
#include "support/places.h"

namespace lowrank {
namespace {

/// An adapter of a method on a tiny model, with values that all matter; nullopt if it does not fit the model.
std::optional<Adapter> stirred_adapter(const MethodInfo& info, const Checkpoint& base,
                                       std::string_view options) {
  std::unique_ptr<Method> method = info.make();
  apply(method->fields(), nlohmann::json::parse(options), "test");
  try {
    Adapter adapter = make_adapter(info, std::move(method), base);
    adapter.method->initialise(base, 11);
    const at::NoGradGuard no_grad;
    Philox random(4);
    at::Tensor& values = adapter.parameters->values();
    for (int64_t i = 0; i < values.numel(); ++i) values[i] += 0.05 * random.normal();
    return adapter;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unsupported) throw;
    return std::nullopt;
  }
}

/// The options a method is tested with.
std::vector<std::string> option_sets(const MethodInfo& info) {
  std::vector<std::string> sets;
  bool small = false;
  for (const OptionExample& example : info.examples) {
    sets.emplace_back(example.options);
    small = small || example.name == small_example;
  }
  if (!small) sets.emplace_back("{}");
  return sets;
}

/// Logits with an adapter that may also train tensors of the base.
at::Tensor logits_with(const std::shared_ptr<const Checkpoint>& base, const Adapter& adapter) {
  const at::NoGradGuard no_grad;
  LoadOptions options = test::in_f32();
  options.training = true;
  options.use = uses_of(adapter.plan);
  const auto model = base->family().load(base, options);
  adapter.method->begin_step({});
  Batch batch = test::batch_of(test::random_examples({9, 5}, base->spec().vocabulary_size));
  adapter.method->layout(batch);
  std::vector<int64_t> rows(batch.token_count());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  return batch_logits(*model, {&batch}, *adapter.method, rows, nullptr);
}

class LoraConversion : public testing::Test {
 protected:
  std::shared_ptr<const Checkpoint> tiny(const std::string& family) const {
    const auto path = folder_.path() / family;
    if (!std::filesystem::exists(path)) test::write_tiny_model(path, test::tiny_config(family));
    return Checkpoint::open(path);
  }

  /// Converts with full rank and compares logits; false if that is refused.
  static bool convert(const std::shared_ptr<const Checkpoint>& base, const Adapter& adapter,
                      const std::string& what) {
    LowRankConversion conversion;
    try {
      conversion = convert_to_low_rank(*base, adapter, {});
      if (!std::ranges::all_of(conversion.modules, &FittedModule::exact))
        conversion = convert_to_low_rank(*base, adapter, {{}, 1});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unsupported) << what << error.what();
      EXPECT_NE(std::string(error.what()).find(adapter.info->name), std::string::npos) << error.what();
      return false;
    }
    const at::Tensor expected = logits_with(base, adapter);
    const bool exact = std::ranges::all_of(conversion.modules, &FittedModule::exact);
    // Reached: 3e-4 for rotations of many degrees.
    EXPECT_LT(test::largest_difference(logits_with(base, conversion.adapter), expected), exact ? 1e-5 : 5e-4)
        << what;
    return true;
  }

  test::TemporaryFolder folder_;
};

TEST_F(LoraConversion, EveryMethodThatIsAnUpdateOfWeightsComputesTheSame) {
  std::map<std::string, std::set<std::string>> refused;
  for (const std::string family : {"llama", "gpt2"}) {
    const auto base = tiny(family);
    for (const MethodInfo* info : methods()) {
      bool converted = false;
      for (const std::string& options : option_sets(*info)) {
        const auto adapter = stirred_adapter(*info, *base, options);
        if (!adapter) continue;
        const std::string what = fmt::format("{} {} {}: ", family, info->name, options);
        converted = convert(base, *adapter, what) || converted;
      }
      if (!converted) refused[family].insert(std::string(info->name));
    }
  }
  // Besides prompts and layers of their own, those that always train norms or biases.
  const std::set<std::string> others{
      "adapter_fusion", "beft",      "bitfit",        "compacter",   "compacter_pp",  "did",
      "full",           "houlsby",   "layer_norm",    "lin_adapter", "p_tuning",      "parallel_adapter",
      "pfeiffer",       "pre_embed", "plain_adapter", "pre_layer",   "prefix_tuning", "prompt_tuning",
      "said",           "subset",    "top_layers"};
  EXPECT_FALSE(refused["llama"].contains("subset"));
  for (const auto& [family, names] : refused) {
    for (const std::string& name : names) EXPECT_TRUE(others.contains(name)) << family << ": " << name;
  }
}

TEST_F(LoraConversion, WhatALoraCannotHoldIsNamed) {
  const auto base = tiny("gpt2");
  const auto refused = [&](std::string_view method, std::string_view options, std::string_view part) {
    const auto adapter = stirred_adapter(method_named(method), *base, options);
    ASSERT_TRUE(adapter.has_value());
    test::expect_error(ErrorKind::unsupported, method, part,
                       [&] { convert_to_low_rank(*base, *adapter, {}); });
  };
  refused("bitfit", "{}", "the bias");
  refused("layer_norm", "{}", "the norm");
  refused("prefix_tuning", "{}", "cannot become a LoRA");
  refused("lora", R"({"lora_bias": true})", "the bias");
}

TEST_F(LoraConversion, AnAdapterOfZerosIsRefused) {
  const auto base = tiny("llama");
  const Adapter adapter = test::random_adapter(*base, {{"rank", 2}});
  const at::NoGradGuard no_grad;
  adapter.parameters->values().zero_();
  test::expect_error(ErrorKind::invalid, "", "changes no weight",
                     [&] { convert_to_low_rank(*base, adapter, {}); });
}

TEST_F(LoraConversion, ALowerRankKeepsTheLargestSingularValues) {
  const auto base = tiny("llama");
  const Adapter adapter = test::random_adapter(*base, {{"rank", 6}, {"target_modules", "q_proj,down_proj"}});
  const LowRankConversion all = convert_to_low_rank(*base, adapter, {6, {}});
  EXPECT_TRUE(std::ranges::all_of(all.modules, &FittedModule::exact));
  double before = 0;
  for (const int64_t rank : {5, 3, 1}) {
    const LowRankConversion conversion = convert_to_low_rank(*base, adapter, {rank, {}});
    const std::vector<LowRankUpdate> own = adapter.method->low_rank_form().updates;
    const std::vector<LowRankUpdate> fits = conversion.adapter.method->low_rank_form().updates;
    ASSERT_EQ(fits.size(), own.size());
    for (size_t i = 0; i < fits.size(); ++i) {
      EXPECT_EQ(fits[i].rank, rank);
      const at::Tensor d = at::mm(own[i].b, own[i].a) * (own[i].alpha / 6);
      const at::Tensor rest = d - at::mm(fits[i].b, fits[i].a);
      EXPECT_NEAR(rest.square().sum().item<double>(), conversion.modules[i].lost, 1e-5);
      EXPECT_NEAR(d.square().sum().item<double>(), conversion.modules[i].energy, 1e-4);
    }
    EXPECT_GT(lost_share(conversion.modules), before);
    before = lost_share(conversion.modules);
  }
}

TEST_F(LoraConversion, WhatIsTrainedInFullIsCopied) {
  const auto base = tiny("llama");
  const auto adapter = stirred_adapter(method_named("oft"), *base,
                                       R"({"oft_block_size": 8, "modules_to_save": ["model.norm"]})");
  const LowRankConversion conversion = convert_to_low_rank(*base, *adapter, {{}, 1});
  EXPECT_EQ(conversion.whole, std::vector<std::string>{"model.norm.weight"});
  EXPECT_TRUE(convert(base, *adapter, "oft"));
}

/// B A of a module, in f32.
at::Tensor product_of(const Adapter& adapter, const std::string& module) {
  for (const LowRankUpdate& update : adapter.method->low_rank_form().updates) {
    if (update.module->name == module)
      return at::mm(update.b, update.a) * (update.alpha / static_cast<double>(update.rank));
  }
  return {};
}

class PeftConversion : public testing::TestWithParam<std::string> {};

TEST_P(PeftConversion, IsWhatPeftMakesOfIt) {
  const at::NoGradGuard no_grad;
  const std::filesystem::path folder = test::fixture("lora_conversion/" + GetParam());
  const nlohmann::json expected = read_json_file(folder / "expected.json", 1 << 20);
  const auto base =
      Checkpoint::open(test::fixture(expected["base"] == "gpt2" ? "golden/base_gpt2" : "tiny_llama/linear"));
  const Adapter adapter = load_adapter(folder, *base);
  for (const std::string kind : {"rank", "energy"}) {
    // PEFT never reduces the rank of MiSS.
    if (kind == "energy" && GetParam() == "miss") continue;
    const RankChoice choice = kind == "rank" ? RankChoice{expected["rank"].get<int64_t>(), {}}
                                             : RankChoice{{}, expected["energy"].get<double>()};
    const LowRankConversion conversion = convert_to_low_rank(*base, adapter, choice);
    const Adapter reference = load_adapter(folder / kind, *base);
    ASSERT_EQ(conversion.modules.size(), expected["ranks"][kind].size());
    for (const FittedModule& module : conversion.modules) {
      EXPECT_EQ(module.rank, expected["ranks"][kind][module.name]) << kind << module.name;
      const at::Tensor theirs = product_of(reference, module.name);
      EXPECT_LT(test::largest_difference(product_of(conversion.adapter, module.name), theirs),
                1e-5 * theirs.abs().max().item<double>() + 1e-6)
          << kind << module.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, PeftConversion,
                         testing::Values("vera", "gralora", "loha", "lokr", "miss", "miss_bat"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace lowrank
