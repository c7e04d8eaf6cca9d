// A method in a file of one's own: one trained number per layer, y = (1 + s) W x. It links lowrank::detail,
// whose headers are those of the program's own methods:  own_method MODEL ROWS.jsonl FOLDER
#include <iostream>

#include "base/error.h"
#include "peft/core/module_method.h"
#include "session/fine_tune.h"

using namespace lowrank;

namespace {

struct Scale final : ModuleFormula {
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
  void write(nlohmann::json& config) const override { config["peft_type"] = "SCALE"; }
  void read(const nlohmann::json&, const std::string&) override {}
};

constexpr MethodInfo scale{
    "scale", "", "a trained scale per layer", 1e-2, make_module_method<Scale>, reads_type<"SCALE">};

}  // namespace

int main(int, char** arguments) try {
  FineTuneOptions options;
  options.session.model = arguments[1];
  options.rows.data = arguments[2];
  options.output = arguments[3];
  options.train.steps = 20;
  const RunResult result = fine_tune(options, {&scale, scale.make()}, {});
  std::cout << "loss " << result.first_loss << " -> " << result.last_loss << '\n';
} catch (const Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
