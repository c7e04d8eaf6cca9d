#include "peft/files/side_by_side.h"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "peft/merge/merge.h"
#include "support/adapters.h"
#include "support/expect_error.h"
#include "support/gradient_check.h"

namespace lowrank {
namespace {

struct Tiny {
  explicit Tiny(const nlohmann::json& config = test::tiny_llama_config()) {
    test::write_tiny_model(folder.path() / "base", config);
    checkpoint = Checkpoint::open(folder.path() / "base");
    examples = test::random_examples({7, 3, 9}, checkpoint->spec().vocabulary_size);
    if (checkpoint->spec().labels) test::label(examples, *checkpoint->spec().labels);
  }

  Adapter adapter(const std::string& name, const nlohmann::json& options = nlohmann::json::object(),
                  at::ScalarType type = at::kFloat, bool stirred = true) const {
    ChosenMethod chosen = choose_method(name);
    apply(chosen.method->fields(), options, "test");
    Adapter made = make_adapter(*chosen.info, std::move(chosen.method), *checkpoint, type);
    made.method->initialise(*checkpoint, 3);
    const at::NoGradGuard no_grad;
    Philox random(4);
    at::Tensor& values = made.parameters->values();
    for (int64_t i = 0; stirred && i < values.numel(); ++i) values[i] += 0.1 * random.normal();
    return made;
  }

  TargetLoss loss(Adapter& of, at::ScalarType type = at::kFloat) const {
    LoadOptions options;
    options.compute = type;
    options.training = true;
    options.use = uses_of(of.plan);
    const auto model = checkpoint->family().load(checkpoint, options);
    Batch batch = test::batch_of(examples);
    of.method->layout(batch);
    of.method->begin_step({1, 1});
    return batch_loss(*model, {&batch, true}, *of.method);
  }
  double value(Adapter& of) const { return loss(of).loss.item<double>(); }

  test::TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::vector<Example> examples;
};

class SideBySideOn : public testing::TestWithParam<std::pair<const char*, nlohmann::json>> {};

TEST_P(SideBySideOn, GradientsMatchFiniteDifferences) {
  const Tiny tiny(GetParam().second);
  Adapter adapter = tiny.adapter("lora+prompt_tuning+houlsby", {{"num_virtual_tokens", 3}}, at::kDouble);
  test::expect_gradients(
      *adapter.parameters,
      [&](bool backward) {
        const TargetLoss loss = tiny.loss(adapter, at::kDouble);
        if (backward) {
          loss.loss.backward();
          adapter.method->end_backward();
        }
        return loss.loss.item<double>();
      },
      23);
}

TEST_P(SideBySideOn, EachHasAFolderAndReadsBackTheSameBits) {
  const Tiny tiny(GetParam().second);
  Adapter adapter = tiny.adapter("prefix_tuning+lora", {{"num_virtual_tokens", 2}, {"rank", 3}});
  const std::filesystem::path out = tiny.folder.path() / "out";
  save_adapter(out, adapter, "base");
  Adapter again = load_adapter(out, *tiny.checkpoint);
  EXPECT_EQ(again.info->name, "prefix_tuning+lora");
  EXPECT_TRUE(at::equal(again.parameters->values(), adapter.parameters->values()));
  EXPECT_EQ(tiny.value(again), tiny.value(adapter));
  // Each folder is an adapter of its own; the label head, if there is one, is in the first.
  const Adapter first = load_adapter(out / "prefix_tuning", *tiny.checkpoint);
  const auto counts = first.parameters->count();
  EXPECT_TRUE(at::equal(first.parameters->values(), adapter.parameters->values().narrow(0, 0, counts)));
  EXPECT_TRUE(std::filesystem::exists(out / "lora" / "adapter_model.safetensors"));
}

INSTANTIATE_TEST_SUITE_P(Families, SideBySideOn,
                         testing::Values(std::pair("llama", test::tiny_llama_config()),
                                         std::pair("gpt2", test::tiny_gpt2_config()),
                                         std::pair("bert", test::tiny_encoder_config("bert"))),
                         [](const auto& info) { return std::string(info.param.first); });

TEST(SideBySide, IsTheOtherWhereOneIsStillTheBase) {
  const Tiny tiny;
  Adapter both = tiny.adapter("lora+houlsby", {{"rank", 2}});
  Adapter alone = tiny.adapter("houlsby");
  const at::NoGradGuard no_grad;
  const std::vector<Adapter>& parts = *both.method->form().parts();
  const int64_t lora = parts[0].parameters->count();
  both.parameters->values().narrow(0, 0, lora).zero_();
  both.parameters->values().narrow(0, lora, alone.parameters->count()).copy_(alone.parameters->values());
  EXPECT_NEAR(tiny.value(both), tiny.value(alone), 1e-5);
  EXPECT_EQ(both.parameters->count(), lora + alone.parameters->count());
}

TEST(SideBySide, RatesKeepTheirProportionAndOptionsReachAll) {
  const ChosenMethod chosen = choose_method("lora+ia3");
  EXPECT_EQ(chosen.info->default_learning_rate, 5e-4);
  const Tiny tiny;
  const Adapter adapter = tiny.adapter("lora+ia3", {{"layers_to_transform", {1}}});
  for (const ParameterSpec& spec : adapter.parameters->specs()) {
    EXPECT_NE(spec.name.find("layers.1."), std::string::npos) << spec.name;
    EXPECT_NEAR(spec.learning_rate_scale, spec.name.starts_with("lora/") ? 1 : 20, 1e-9) << spec.name;
  }
}

TEST(SideBySide, FactorsOnOneModuleAdd) {
  const Tiny tiny;
  Adapter two = tiny.adapter("lora+rslora", {{"rank", 2}});
  merge_to_folder(*tiny.checkpoint, two, std::nullopt, tiny.folder.path() / "merged");
  const auto merged = Checkpoint::open(tiny.folder.path() / "merged");
  EXPECT_LT(test::largest_difference(test::logits_of(merged, Hooks()),
                                     test::logits_of(tiny.checkpoint, *two.method)),
            1e-4);
  EXPECT_GT(test::largest_difference(test::logits_of(tiny.checkpoint, Hooks()),
                                     test::logits_of(tiny.checkpoint, *two.method)),
            1e-2);
}

TEST(SideBySide, RefusesWhatDoesNotGoTogether) {
  const Tiny tiny;
  test::expect_error(ErrorKind::invalid, "", "the method lora stands twice",
                     [] { choose_method("lora+lora"); });
  test::expect_error(ErrorKind::invalid, "", "the method 'loar' is not known",
                     [] { choose_method("lora+loar"); });
  test::expect_error(ErrorKind::unsupported, "", "change the product of model.layers.0.self_attn.k_proj",
                     [&] {
                       Adapter overlapping = tiny.adapter("lora+ia3");
                       tiny.loss(overlapping);
                     });
  test::expect_error(ErrorKind::unsupported, "", "two of the methods lora+rslora train lm_head.weight", [&] {
    tiny.adapter("lora+rslora", {{"modules_to_save", {"lm_head"}}});
  });
  test::expect_error(ErrorKind::unsupported, "", "of prompt_tuning, its virtual tokens", [&] {
    merge_to_folder(*tiny.checkpoint, tiny.adapter("lora+prompt_tuning"), std::nullopt,
                    tiny.folder.path() / "m");
  });
  const std::filesystem::path broken = tiny.folder.path() / "broken";
  std::filesystem::create_directories(broken);
  write_file_atomically(broken / "adapters.json", "{\"methods\": []}");
  test::expect_error(ErrorKind::corrupt, "adapters.json", "no list of methods",
                     [&] { load_adapter(broken, *tiny.checkpoint); });
}

}  // namespace
}  // namespace lowrank
