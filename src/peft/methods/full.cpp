// Full fine-tuning: every tensor of the base is trained, a tied head once, with f32 master values. A run
// produces the trained model, as a folder that any program can read; only checkpoints within the run are
// adapters, whose tensors have the model's names.
#include "peft/core/registry.h"
#include "peft/core/subset_method.h"

namespace lowrank {
namespace {

class Full final : public SubsetMethod {
 public:
  std::vector<Field> fields() override { return {}; }
  Output output() const override { return Output::model; }

  nlohmann::json config() const override { return {{"peft_type", "FULL"}}; }
  void read_config(const nlohmann::json&, const std::string&) override {}

 protected:
  std::vector<const TensorRef*> chosen(const ModelSpec& spec) override { return tensors_found(spec, ""); }
};

std::unique_ptr<Method> make() {
  return std::make_unique<Full>();
}

}  // namespace

extern const MethodInfo full_method;
const MethodInfo full_method{"full", "",   "full fine-tuning: every tensor of the base",
                             5e-5,   make, reads_type<"FULL">};

}  // namespace lowrank
