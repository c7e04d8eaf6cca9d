// A method of a host's own: once it is added, runs take its name and its adapters are read back.
#include "peft/core/module_method.h"
#include "peft/core/registry.h"
#include "peft/files/adapter_file.h"
#include "session/starting_adapter.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

/// y = (1 + s) W x with one trained s per layer.
struct OwnScale final : ModuleFormula {
  std::vector<ParameterSpec> parameters(const Module&) const override { return {{"scale", {1}}}; }
  void initialise(const Module&, std::span<const at::Tensor> values, at::Generator&) const override {
    values[0].zero_();
  }
  std::vector<Patch> patches(const Context&, const Module& module, size_t,
                             std::span<const at::Tensor> values) const override {
    Patch patch;
    patch.out_scale = values[0].add(1).expand({module.out});
    return {patch};
  }
  void write(nlohmann::json& config) const override { config["peft_type"] = "OWN_SCALE"; }
  void read(const nlohmann::json&, const std::string&) override {}
};

constexpr MethodInfo own_scale{"own_scale",
                               "",
                               "a trained scale per layer",
                               1e-2,
                               make_module_method<OwnScale>,
                               reads_type<"OWN_SCALE">};

TEST(OwnMethod, IsReadBackOnceItIsAdded) {
  const test::TemporaryFolder folder;
  test::write_tiny_model(folder.path() / "base", test::tiny_llama_config());
  const auto base = Checkpoint::open(folder.path() / "base");
  const Adapter adapter = make_adapter(own_scale, own_scale.make(), *base);
  adapter.parameters->values().fill_(0.25);
  save_adapter(folder.path() / "adapter", adapter, "base");

  const size_t built_in = known_methods().size();
  test::expect_error(ErrorKind::unsupported, "", "no method reads peft_type \"OWN_SCALE\"",
                     [&] { load_adapter(folder.path() / "adapter", *base); });
  add_method(own_scale);
  EXPECT_EQ(known_methods().size(), built_in + 1);
  EXPECT_EQ(methods().size(), built_in);
  test::expect_error(ErrorKind::invalid, "", "a method 'own_scale' is known already",
                     [] { add_method(own_scale); });

  const Adapter read = load_adapter(folder.path() / "adapter", *base);
  EXPECT_EQ(read.info, &own_scale);
  EXPECT_TRUE(read.parameters->values().equal(adapter.parameters->values()));
  const std::string path = (folder.path() / "adapter").string();
  EXPECT_EQ(read_starting_adapter(path, (folder.path() / "base").string()).method, "own_scale");
  EXPECT_EQ(start_of_run("own_scale", "lora", "", "").chosen.info, &own_scale);
}

}  // namespace
}  // namespace lowrank
