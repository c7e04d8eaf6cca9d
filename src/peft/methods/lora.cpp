// LoRA (Hu et al. 2021, arXiv 2106.09685): y = W x + s B A drop(x), A [r, in], B [out, r], W frozen.
//   s = alpha / r (section 4.1), alpha / sqrt(r) (Kalajdzievski 2023, arXiv 2312.03732), or 1 / alpha (some
//   texts).
// Files are PEFT's: `base_model.model.<module>.lora_A.weight` and `.lora_B.weight`, for an embedding
// `.lora_embedding_A` and `.lora_embedding_B`.
#include "peft/low_rank_method.h"
#include "peft/registry.h"

namespace lowrank {
namespace {

std::unique_ptr<Method> make() {
  return make_low_rank_method({});
}

bool reads(const nlohmann::json& config) {
  // Of starts that are not built, the trained factors are read all the same.
  return is_low_rank_config(config, false,
                            {"", "gaussian", "orthogonal", "eva", "loftq", "corda", "lora_ga"});
}

}  // namespace

extern const MethodInfo lora_method;
const MethodInfo lora_method{
    "lora", "Hu et al. 2021, arXiv 2106.09685", "low-rank update s B A beside chosen weights", 2e-4, make,
    reads};

}  // namespace lowrank
