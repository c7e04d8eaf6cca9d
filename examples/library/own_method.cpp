// A method in a file of one's own: one trained number per layer, y = (1 + s) W x. It links lowrank::detail,
// whose headers are those of the program's own methods:  own_method MODEL ROWS.jsonl FOLDER
#include <iostream>
#include <lowrank/lowrank.h>

#include "peft/core/module_method.h"
#include "peft/core/registry.h"

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
  add_method(scale);
  Session session(arguments[1]);
  const TrainingSummary run =
      session.train("scaled", {{"data", arguments[2]}, {"method", "scale"}, {"steps", 20}});
  session.save("scaled", arguments[3]);
  session.attach("read back", arguments[3]);
  std::cout << "loss " << run.first_loss << " -> " << run.last_loss << ", read back "
            << session.evaluate({{"adapter", "read back"}, {"data", arguments[2]}}).loss << '\n';
} catch (const Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
