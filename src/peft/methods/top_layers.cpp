// Fine-tuning of the last n layers alone (FT^Top2 of Hu et al. 2021, arXiv 2106.09685, section 5.1, after Li
// and Liang 2021): neither the final norm nor the embeddings. Backpropagation stops below these layers. Files
// are our own: the tensors under the model's names, `peft_type: TOP_LAYERS` with their number.
#include "base/error.h"
#include "peft/core/registry.h"
#include "peft/core/subset_method.h"

namespace lowrank {
namespace {

class TopLayers final : public SubsetMethod {
 public:
  std::vector<Field> fields() override {
    return {limited(field("layers", layers_, "number of trained layers, counted from the last"), 1, 1 << 20)};
  }

  nlohmann::json config() const override { return {{"peft_type", "TOP_LAYERS"}, {"layers", layers_}}; }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    apply(fields(), {{"layers", config.value("layers", nlohmann::json())}}, where);
  }

 protected:
  std::vector<const TensorRef*> chosen(const ModelSpec& spec) override {
    check(layers_ <= spec.layers, ErrorKind::invalid, "`layers` {}: the model has {} layers", layers_,
          spec.layers);
    std::vector<const TensorRef*> tensors;
    for (const TensorRef& tensor : spec.tensors)
      if (tensor.layer >= spec.layers - layers_ && tensor.role != Role::constant) tensors.push_back(&tensor);
    return tensors;
  }

 private:
  int64_t layers_ = 2;
};

std::unique_ptr<Method> make() {
  return std::make_unique<TopLayers>();
}

constexpr OptionExample examples[] = {
    {"two", R"({"layers": 2})"},
};

}  // namespace

extern const MethodInfo top_layers_method;
const MethodInfo top_layers_method{"top_layers",
                                   "Hu et al. 2021, arXiv 2106.09685, section 5.1",
                                   "the last layers",
                                   2e-4,
                                   make,
                                   reads_type<"TOP_LAYERS">,
                                   examples};

}  // namespace lowrank
