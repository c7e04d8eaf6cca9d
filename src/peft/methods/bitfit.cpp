// BitFit (Ben Zaken et al. 2022, arXiv 2106.10199): the biases that the base has, of linear layers and of
// norms. Files are our own: the biases under the model's names, `peft_type: BITFIT`.
#include "base/error.h"
#include "peft/core/registry.h"
#include "peft/core/subset_method.h"

namespace lowrank {
namespace {

class BitFit final : public SubsetMethod {
 public:
  std::vector<Field> fields() override { return {}; }

  nlohmann::json config() const override { return {{"peft_type", "BITFIT"}}; }
  void read_config(const nlohmann::json&, const std::string&) override {}

 protected:
  std::vector<const TensorRef*> chosen(const ModelSpec& spec) override {
    std::vector<const TensorRef*> tensors = biases_to_train(spec, "all", {});
    check(!tensors.empty(), ErrorKind::unsupported,
          "bitfit: this model ({}) has no biases to train; `method` beft adds biases instead", spec.family);
    return tensors;
  }
};

std::unique_ptr<Method> make() {
  return std::make_unique<BitFit>();
}

}  // namespace

extern const MethodInfo bitfit_method;
const MethodInfo bitfit_method{"bitfit",
                               "Ben Zaken et al. 2022, arXiv 2106.10199",
                               "the base's own biases",
                               1e-3,
                               make,
                               reads_type<"BITFIT">};

}  // namespace lowrank
