// Training of some of the base's tensors: those whose name a regular expression matches anywhere. Files are
// our own: the tensors under the model's names, `peft_type: SUBSET` with the expression. The default is the
// attention blocks alone (Touvron et al. 2022, arXiv 2203.09795, section 4).
#include "peft/core/registry.h"
#include "peft/core/subset_method.h"

namespace lowrank {
namespace {

class Subset final : public SubsetMethod {
 public:
  std::vector<Field> fields() override {
    return {field("train", train_,
                  "regular expression that selects, by name, what is trained: 'layers\\.2[89]\\.|norm'")};
  }

  nlohmann::json config() const override { return {{"peft_type", "SUBSET"}, {"train", train_}}; }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    apply(fields(), {{"train", config.value("train", nlohmann::json())}}, where);
  }

 protected:
  std::vector<const TensorRef*> chosen(const ModelSpec& spec) override { return tensors_found(spec, train_); }

 private:
  std::string train_ = "attn\\.|attention\\.";
};

std::unique_ptr<Method> make() {
  return std::make_unique<Subset>();
}

constexpr OptionExample examples[] = {
    {"norms", R"({"train": "norm|ln_|LayerNorm"})"},
    {"whole_layer", R"({"train": "\\.1\\."})"},
};

}  // namespace

extern const MethodInfo subset_method;
const MethodInfo subset_method{"subset",
                               "Touvron et al. 2022, arXiv 2203.09795",
                               "tensors of the base by name",
                               5e-5,
                               make,
                               reads_type<"SUBSET">,
                               examples};

}  // namespace lowrank
