// The hard cases of the seam between models and methods, each as a small method of its own on a tiny random
// model: no method here knows a family, and no family knows a method.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>
#include <gtest/gtest.h>

#include "peft/files/adapter_file.h"
#include "seam/post_norm_encoder.h"
#include "support/gradient_check.h"
#include "support/load_forms.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

/// A method for one test: parameters and hooks, without options or files.
struct SpikeMethod : Method, AdapterForm {
  std::vector<Field> fields() override { return {}; }
  void initialise(const Checkpoint&, uint64_t) override {}
  AdapterForm& form() override { return *this; }
  const AdapterForm& form() const override { return *this; }
  nlohmann::json config() const override { return {}; }
  void read_config(const nlohmann::json&, const std::string&) override {}
  void bind(const ParameterSet& set) override { parameters = &set; }
  const ParameterSet* parameters = nullptr;
};

struct Tiny {
  test::TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<Model> model;
  std::unique_ptr<ParameterSet> parameters;
  Batch batch;

  explicit Tiny(Method& method) {
    test::write_tiny_model(folder.path(), test::tiny_llama_config());
    checkpoint = Checkpoint::open(folder.path());
    const TrainPlan plan = method.plan(checkpoint->spec());
    LoadOptions options;
    options.compute = at::kDouble;
    options.training = true;
    options.use = uses_of(plan);
    model = checkpoint->family().load(checkpoint, options);
    parameters = std::make_unique<ParameterSet>(plan.parameters, at::kDouble);
    Philox random(5);
    auto* values = parameters->values().mutable_data_ptr<double>();
    for (int64_t i = 0; i < parameters->count(); ++i) values[i] = 0.2 * random.normal();
    method.bind(*parameters);
    batch = test::batch_of(test::random_examples({5, 1, 9}, 64));
  }

  /// A whole step as the trainer takes it.
  double loss(Method& method, bool backward) {
    Batch laid_out = batch;
    method.layout(laid_out);
    method.begin_step({1, 1});
    const TargetLoss result = batch_loss(*model, {&laid_out, true}, method);
    if (backward) {
      result.loss.backward();
      method.end_backward();
    }
    return result.loss.item<double>();
  }

  void expect_gradients(Method& method, int64_t stride) {
    test::expect_gradients(
        *parameters, [&](bool backward) { return loss(method, backward); }, stride);
  }
};

/// A bottleneck after each branch that reads the stream through the norm that follows it (Pfeiffer et al.
/// 2021): on a post-norm model that frozen norm is used twice.
struct BottleneckAfterNorm : SpikeMethod {
  TrainPlan plan(const ModelSpec& spec) override {
    TrainPlan plan;
    for (int64_t layer = 0; layer < spec.layers; ++layer) {
      plan.parameters.push_back({std::to_string(layer) + ".down", {3, spec.hidden_size}});
      plan.parameters.push_back({std::to_string(layer) + ".up", {spec.hidden_size, 3}});
    }
    return plan;
  }

  at::Tensor branch_end(const Place& place, const Site& site, const at::Tensor& in,
                        const at::Tensor& out) const override {
    if (site.branch != Role::down) return out;
    const std::string layer = std::to_string(place.layer);
    const at::Tensor sum = in + out;
    const at::Tensor x = site.post_norm ? test::apply_norm(*site.post_norm, place.context, *this, sum) : sum;
    const at::Tensor inner = at::relu(at::mm(x, parameters->at(layer + ".down").t()));
    return out + at::mm(inner, parameters->at(layer + ".up").t());
  }
};

TEST(Seam, BottleneckOnAPostNormEncoderUsesTheFrozenNormTwice) {
  BottleneckAfterNorm method;
  const test::PostNormEncoder encoder(at::kDouble);
  ParameterSet parameters(method.plan(encoder.spec()).parameters, at::kDouble);
  Philox random(3);
  auto* values = parameters.values().mutable_data_ptr<double>();
  for (int64_t i = 0; i < parameters.count(); ++i) values[i] = 0.3 * random.normal();
  method.bind(parameters);
  const Batch batch = test::batch_of(test::random_examples({4, 7}, encoder.spec().vocabulary_size));
  test::expect_gradients(
      parameters,
      [&](bool backward) {
        const at::Tensor loss = encoder.forward({&batch, true}, method).pow(2).sum();
        if (backward) loss.backward();
        return loss.item<double>();
      },
      5);
}

/// Norms and embeddings generated from one small vector (SAID, Aghajanyan et al. 2021): theta = theta0 + P v.
/// The generated tensors are handed out as leaves once per step and their gradients carried back once.
struct GeneratedWeights : SpikeMethod {
  TrainPlan plan(const ModelSpec& spec) override {
    TrainPlan plan;
    plan.parameters.push_back({"v", {6}});
    for (const TensorRef& tensor : spec.tensors) {
      if (tensor.role != Role::norm && tensor.role != Role::embedding) continue;
      plan.uses[tensor.name] = TensorUse::generated;
      const int64_t count = *element_count(tensor.shape);
      projections[tensor.name] = (at::randn({count, 6}, at::kDouble) * 0.1).reshape({count, 6});
      starts[tensor.name] =
          at::randn(tensor.shape, at::kDouble) * 0.3 + (tensor.role == Role::norm ? 1.0 : 0.0);
    }
    return plan;
  }
  void begin_step(const StepInfo&) override {
    const at::NoGradGuard no_grad;
    for (const auto& [name, projection] : projections) {
      at::Tensor leaf = starts[name] + projection.mv(parameters->at("v")).reshape(starts[name].sizes());
      leaf.set_requires_grad(true);
      leaves[name] = leaf;
    }
  }
  void end_backward() override {
    const at::NoGradGuard no_grad;
    for (const auto& [name, projection] : projections) {
      at::Tensor gradient = parameters->at("v").grad();
      gradient.add_(projection.t().mv(leaves[name].grad().reshape({-1})));
    }
  }
  at::Tensor weight(const Context&, const TensorRef& tensor) const override { return leaves.at(tensor.name); }

  std::map<std::string, at::Tensor> projections, starts, leaves;
};

TEST(Seam, GeneratedNormsAndEmbeddings) {
  GeneratedWeights method;
  Tiny tiny(method);
  tiny.expect_gradients(method, 1);
}

/// Trained rows inserted in front of every sequence after every layer, the text at positions N*L and on (the
/// LoRA paper's PreLayer, by concatenation).
struct RowsInFrontOfLayers : SpikeMethod {
  static constexpr int64_t rows = 2;
  TrainPlan plan(const ModelSpec& spec) override {
    layers = spec.layers;
    TrainPlan plan;
    for (int64_t layer = 0; layer < layers; ++layer) {
      plan.parameters.push_back({std::to_string(layer), {rows, spec.hidden_size}});
    }
    return plan;
  }
  void layout(Batch& batch) const override {
    for (int64_t& position : batch.positions) position += rows * layers;
  }
  HiddenState layer_end(const Place& place, HiddenState hidden) const override {
    const SequenceLayout wider = with_rows_in_front(hidden.layout, rows);
    const at::Tensor sum = hidden.sum();
    std::vector<at::Tensor> pieces;
    for (size_t s = 0; s + 1 < hidden.layout.offsets.size(); ++s) {
      const int64_t begin = hidden.layout.offsets[s];
      pieces.push_back(parameters->at(std::to_string(place.layer)));
      pieces.push_back(sum.narrow(0, begin, hidden.layout.offsets[s + 1] - begin));
    }
    return {at::cat(pieces), {}, wider};
  }
  int64_t layers = 0;
};

TEST(Seam, RowsConcatenatedBetweenLayers) {
  RowsInFrontOfLayers method;
  Tiny tiny(method);
  // The rows after the last layer reach no target.
  tiny.expect_gradients(method, 3);
}

/// Keys and values before every sequence, as many as the model has key heads.
struct KeysInFront : SpikeMethod {
  static constexpr int64_t rows = 3;
  TrainPlan plan(const ModelSpec& spec) override {
    const int64_t width = spec.find_module("model.layers.0.self_attn.k_proj")->out;
    TrainPlan plan;
    for (int64_t layer = 0; layer < spec.layers; ++layer) {
      plan.parameters.push_back({std::to_string(layer) + ".k", {rows, width}});
      plan.parameters.push_back({std::to_string(layer) + ".v", {rows, width}});
    }
    return plan;
  }
  void layout(Batch& batch) const override {
    for (int64_t& position : batch.positions) position += rows;
  }
  std::optional<Prefix> prefix(const Place& place) const override {
    const std::string name = std::to_string(place.layer);
    Prefix prefix{{parameters->at(name + ".k"), parameters->at(name + ".v")}, {}};
    for (int64_t s = 0; s < place.context.batch->sequences(); ++s) prefix.runs.push_back({0, 0, rows, 0});
    return prefix;
  }
};

TEST(Seam, PrefixWithGroupedQueries) {
  KeysInFront method;
  Tiny tiny(method);
  tiny.expect_gradients(method, 3);
}

/// A trained base weight: it is alone in its fused product and is never packed.
struct TrainedWeights : SpikeMethod {
  TrainPlan plan(const ModelSpec& spec) override {
    TrainPlan plan;
    for (const char* name : {"model.layers.1.self_attn.k_proj.weight", "model.layers.0.mlp.down_proj.weight",
                             "model.layers.1.input_layernorm.weight", "lm_head.weight"}) {
      plan.parameters.push_back({name, spec.find_tensor(name)->shape});
      plan.uses[name] = TensorUse::trained;
    }
    return plan;
  }
  at::Tensor weight(const Context&, const TensorRef& tensor) const override {
    return parameters->at(tensor.name);
  }
};

TEST(Seam, TrainedBaseWeightsAreNeverPacked) {
  TrainedWeights method;
  Tiny tiny(method);
  const Linear qkv = load_linear(*tiny.checkpoint,
                                 [] {
                                   LoadOptions options = test::in_f32();
                                   options.use = [](const TensorRef& tensor) {
                                     return tensor.name == "model.layers.1.self_attn.k_proj.weight"
                                                ? TensorUse::trained
                                                : TensorUse::frozen;
                                   };
                                   return options;
                                 }(),
                                 {"model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.k_proj",
                                  "model.layers.1.self_attn.v_proj"});
  ASSERT_EQ(qkv.runs.size(), 3);
  EXPECT_EQ(qkv.runs[1].weight, nullptr);
  EXPECT_NE(qkv.runs[0].weight, nullptr);
  tiny.expect_gradients(method, 97);
}

/// A rank budget: the regulariser is added once per step, and `after_step` sees the gradients along with the
/// new values (AdaLoRA, Zhang et al. 2023).
struct StepWatcher : SpikeMethod {
  TrainPlan plan(const ModelSpec&) override { return {{{"E", {4}}}, {}, {}, {}}; }
  std::vector<Patch> patches(const Place&, const Module& module) const override {
    if (module.role != Role::query) return {};
    Patch patch;
    patch.end = module.out;
    patch.out_scale = parameters->at("E").repeat_interleave(module.out / 4) + 1;
    return {patch};
  }
  at::Tensor regularizer() override { return parameters->at("E").pow(2).sum(); }
  void after_step(const StepInfo&) override {
    const at::NoGradGuard no_grad;
    importance = (parameters->at("E") * parameters->at("E").grad()).abs().sum().item<double>();
    at::Tensor values = parameters->at("E");
    values.narrow(0, 0, 1).zero_();
  }
  double importance = 0;
};

TEST(Seam, StepHooksSeeGradientsAndMaskValues) {
  StepWatcher method;
  Tiny tiny(method);
  test::expect_gradients(
      *tiny.parameters,
      [&](bool backward) {
        const double loss = tiny.loss(method, backward);
        const at::Tensor extra = method.regularizer();
        if (backward) extra.backward();
        return loss + extra.item<double>();
      },
      1);
  method.after_step({1, 1});
  EXPECT_GT(method.importance, 0);
  EXPECT_EQ(tiny.parameters->at("E")[0].item<double>(), 0);
}

}  // namespace
}  // namespace lowrank
