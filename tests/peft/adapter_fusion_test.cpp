// AdapterFusion: y + sum_i p_i V u_i(x), p = softmax_i((Q x + b) (K u_i + c)).
#include <ATen/ops/eye.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>

#include "base/error.h"
#include "support/bottleneck_formula.h"
#include "support/gradient_check.h"

namespace lowrank {
namespace {

class AdapterFusionTest : public testing::Test {
 protected:
  void SetUp() override {
    test::write_tiny_model(folder_.path() / "base", test::tiny_llama_config());
    checkpoint = Checkpoint::open(folder_.path() / "base");
    for (const char* name : {"first", "second"}) {
      members.push_back((folder_.path() / name).string());
      Adapter member =
          test::random_adapter(*checkpoint, {{"adapter_name", name}, {"reduction_factor", 8}}, "pfeiffer");
      at::Tensor& values = member.parameters->values();
      const at::NoGradGuard no_grad;
      values.mul_(members.size());
      save_adapter(members.back(), member, "base");
    }
  }

  Adapter fusion(const nlohmann::json& more, at::ScalarType type = at::kFloat) const {
    nlohmann::json options = {{"members", members}};
    if (!more.is_null()) options.update(more);
    const MethodInfo& info = method_named("adapter_fusion");
    std::unique_ptr<Method> method = info.make();
    apply(method->fields(), options, "test");
    Adapter adapter = make_adapter(info, std::move(method), *checkpoint, type);
    adapter.method->initialise(*checkpoint, 3);
    const at::NoGradGuard no_grad;
    Philox random(7);
    for (int64_t i = 0; i < adapter.parameters->count(); ++i)
      adapter.parameters->values()[i] += 0.1 * random.normal();
    return adapter;
  }

  static at::Tensor parameter(const Adapter& adapter, const std::string& name) {
    return adapter.parameters->at("model.layers.1.output_adapters." + name).detach();
  }

  /// u of a member of layer 1.
  static at::Tensor output(const Adapter& adapter, const std::string& member, const at::Tensor& x) {
    const std::string p = "adapters." + member + ".";
    const at::Tensor inner = at::relu(at::mm(x, parameter(adapter, p + "adapter_down.0.weight").t()) +
                                      parameter(adapter, p + "adapter_down.0.bias"));
    return at::mm(inner, parameter(adapter, p + "adapter_up.weight").t()) +
           parameter(adapter, p + "adapter_up.bias");
  }

  static at::Tensor expected(const Adapter& adapter, bool dynamic, const at::Tensor& in,
                             const at::Tensor& out) {
    const std::string p = "adapter_fusion_layer.first,second.";
    const at::Tensor x = in + out;
    const at::Tensor query =
        at::mm(x, parameter(adapter, p + "query.weight").t()) + parameter(adapter, p + "query.bias");
    std::vector<at::Tensor> scores, values;
    for (const char* member : {"first", "second"}) {
      const at::Tensor u = output(adapter, member, x);
      const at::Tensor key =
          at::mm(u, parameter(adapter, p + "key.weight").t()) + parameter(adapter, p + "key.bias");
      scores.push_back((query * key).sum(1));
      values.push_back(dynamic ? at::mm(u, parameter(adapter, p + "value.weight").t()) : u);
    }
    const at::Tensor shares = at::softmax(at::stack(scores, 1), 1);
    return out + shares.narrow(1, 0, 1) * values[0] + shares.narrow(1, 1, 1) * values[1];
  }

  std::shared_ptr<const Checkpoint> checkpoint;
  std::vector<std::string> members;
  test::TemporaryFolder folder_;
};

TEST_F(AdapterFusionTest, CombinesItsMembersByAttention) {
  const at::NoGradGuard no_grad;
  const at::Tensor in = at::randn({5, 32}), out = at::randn({5, 32});
  for (const bool dynamic : {true, false}) {
    const Adapter adapter = fusion({{"fusion", dynamic ? "dynamic" : "static"}});
    const at::Tensor found =
        adapter.method->branch_end(test::PlacesIn(test::no_tokens()).layer(1), {Role::down}, in, out);
    EXPECT_LT(test::largest_difference(found, expected(adapter, dynamic, in, out)), 2e-5);
    EXPECT_GT(test::largest_difference(found, out), 1e-2);
  }
}

TEST_F(AdapterFusionTest, CountsWhatTrains) {
  constexpr int64_t d = 32, k = 4, layers = 2;
  EXPECT_EQ(fusion({}).parameters->count(), layers * (3 * d * d + 2 * d));
  EXPECT_EQ(fusion({{"fusion", "static"}}).parameters->count(), layers * (2 * d * d + 2 * d));
  EXPECT_EQ(fusion({{"train_members", true}}).parameters->count(),
            layers * (3 * d * d + 2 * d + 2 * (2 * d * k + k + d)));
  EXPECT_EQ(fusion({}).plan.macs_per_token, layers * (3 * d * d + 2 * 2 * d + 2 * 2 * d * k));
}

TEST_F(AdapterFusionTest, KeepsTheValueMatrixNearIdentity) {
  const Adapter adapter = fusion({{"regularization", 0.5}});
  double expected = 0;
  for (const char* layer : {"0", "1"}) {
    const at::Tensor value = adapter.parameters->at(
        fmt::format("model.layers.{}.output_adapters.adapter_fusion_layer.first,second.value.weight", layer));
    expected += 0.5 * (at::eye(32) - value).pow(2).sum().item<double>();
  }
  EXPECT_NEAR(adapter.method->regularizer().item<double>(), expected, 1e-3);
  EXPECT_FALSE(fusion({{"regularization", 0}}).method->regularizer().defined());
  EXPECT_FALSE(fusion({{"fusion", "static"}}).method->regularizer().defined());
}

TEST_F(AdapterFusionTest, GradientsMatchFiniteDifferences) {
  Adapter adapter = fusion({{"train_members", true}}, at::kDouble);
  LoadOptions options;
  options.compute = at::kDouble;
  options.training = true;
  const auto model = checkpoint->family().load(checkpoint, options);
  const Batch batch = test::batch_of(test::random_examples({5, 1, 9}, 64));
  test::expect_gradients(
      *adapter.parameters,
      [&](bool backward) {
        const at::Tensor loss =
            batch_loss(*model, {&batch, true}, *adapter.method).loss + adapter.method->regularizer();
        if (backward) loss.backward();
        return loss.item<double>();
      },
      97);
}

TEST_F(AdapterFusionTest, IsReadWithItsMembersWhereverTheyWere) {
  const Adapter adapter = fusion({});
  save_adapter(folder_.path() / "fusion", adapter, "base");
  for (const std::string& member : members) std::filesystem::remove_all(member);
  const Adapter again = load_adapter(folder_.path() / "fusion", *checkpoint);
  EXPECT_EQ(again.info->name, "adapter_fusion");
  EXPECT_EQ(again.method->form().config(), adapter.method->form().config());
  const at::NoGradGuard no_grad;
  const at::Tensor in = at::randn({5, 32}), out = at::randn({5, 32});
  EXPECT_EQ(
      test::largest_difference(
          again.method->branch_end(test::PlacesIn(test::no_tokens()).layer(1), {Role::down}, in, out),
          adapter.method->branch_end(test::PlacesIn(test::no_tokens()).layer(1), {Role::down}, in, out)),
      0);
}

TEST_F(AdapterFusionTest, RefusesMembersThatDoNotFit) {
  const auto refusal = [&](const std::vector<std::string>& of) -> std::string {
    try {
      fusion({{"members", of}});
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  };
  EXPECT_NE(refusal({members[0]}).find("two folders or more"), std::string::npos);
  EXPECT_NE(refusal({members[0], members[0]}).find("have the same name first"), std::string::npos);
  for (const auto& [method, part] :
       {std::pair{"houlsby", "same places"}, {"parallel_adapter", "no parallel"}}) {
    const std::string other = (folder_.path() / "other").string();
    save_adapter(other, test::random_adapter(*checkpoint, {{"adapter_name", "other"}}, method), "base");
    EXPECT_NE(refusal({members[0], other}).find(part), std::string::npos) << method;
  }
}

}  // namespace
}  // namespace lowrank
