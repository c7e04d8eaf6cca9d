// LoRA (Hu et al. 2021, arXiv 2106.09685): y = W x + s B A drop(x), A [r, in], B [out, r], W frozen.
//   s = alpha / r (section 4.1), alpha / sqrt(r) (Kalajdzievski 2023, arXiv 2312.03732), or 1 / alpha (some
//   texts).
// Files are PEFT's: `base_model.model.<module>.lora_A.weight` and `.lora_B.weight`, for an embedding
// `.lora_embedding_A` and `.lora_embedding_B`.
#include "model/embedding.h"
#include "peft/low_rank_config.h"
#include "peft/low_rank_updates.h"
#include "peft/registry.h"

namespace lowrank {
namespace {

class Lora final : public Method {
 public:
  std::vector<Field> fields() override { return options_.fields(); }
  TrainPlan plan(const ModelSpec& spec) override { return updates_.plan(spec, options_); }
  void bind(const ParameterSet& parameters) override { updates_.bind(parameters); }
  void attach(const Checkpoint& base) override { updates_.attach(base); }
  void initialise(const Checkpoint& base, uint64_t seed) override { updates_.initialise(base, seed); }

  at::Tensor weight(const Context& context, const TensorRef& tensor) const override {
    const std::optional<at::Tensor> value = updates_.value(tensor);
    return value ? *value : Hooks::weight(context, tensor);
  }
  at::Tensor embed(const Context& context, const Embedding& embedding) const override {
    return updates_.embed(context, embedding, Hooks::embed(context, embedding));
  }
  std::optional<Patch> patch(const Context& context, const Module& module) const override {
    return updates_.patch(context, module);
  }

  bool merges(const TensorRef& tensor) const override { return updates_.merges(tensor); }
  std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& value) const override {
    return updates_.merged(tensor, value);
  }
  bool keeps_tied_head() const override { return updates_.keeps_tied_head(); }
  LowRankForm low_rank_form() const override { return updates_.form(); }

  nlohmann::json config() const override { return write_low_rank_config(options_, updates_.modules()); }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    read_low_rank_config(options_, config, where);
  }

 private:
  LowRankOptions options_;
  LowRankUpdates updates_;
};

std::unique_ptr<Method> make() {
  return std::make_unique<Lora>();
}

bool reads(const nlohmann::json& config) {
  return config["peft_type"] == "LORA" && config.value("use_dora", false) == false;
}

}  // namespace

extern const MethodInfo lora_method;
const MethodInfo lora_method{
    "lora", "Hu et al. 2021, arXiv 2106.09685", "low-rank update s B A beside chosen weights", 2e-4, make,
    reads};

}  // namespace lowrank
