// LoRA (Hu et al. 2021, arXiv 2106.09685): y = W x + s B A drop(x), A [r, in], B [out, r], W frozen.
//   s = alpha / r (section 4.1), alpha / sqrt(r) (Kalajdzievski 2023, arXiv 2312.03732), or 1 / alpha (in
//   some texts).
// Files are PEFT's: `base_model.model.<module>.lora_A.weight` and `.lora_B.weight`, for an embedding
// `.lora_embedding_A` and `.lora_embedding_B`.
#include "peft/core/registry.h"
#include "peft/low_rank/low_rank_method.h"

namespace lowrank {
namespace {

std::unique_ptr<Method> make() {
  return make_low_rank_method({});
}

bool reads(const nlohmann::json& config) {
  // Also match unimplemented initialisations: their trained factors can still be read.
  return is_low_rank_config(config, false,
                            {"", "gaussian", "orthogonal", "eva", "loftq", "corda", "lora_ga"});
}

constexpr OptionExample examples[] = {
    {"dropout", R"({"dropout": 0.3})"},
    {"patterns", R"({"rank_pattern": {".*\\.1\\..*": 3}, "alpha_pattern": {".*\\.0\\..*": 5}})"},
    {"all_linear", R"({"target_modules": "all-linear", "rank": 3})"},
    {"one_layer", R"({"layers_to_transform": [1]})"},
    {"by_alpha", R"({"scaling": "1/alpha", "alpha": 4})"},
    {"by_root", R"json({"scaling": "alpha/sqrt(r)"})json"},
    {"gaussian", R"({"init": "gaussian"})"},
    {"orthogonal", R"({"init": "orthogonal"})"},
    {"random", R"({"init": "false"})"},
    {"lora_bias", R"({"lora_bias": true})"},
    {"bias_all", R"({"bias": "all"})"},
    {"bias_own", R"({"bias": "lora_only"})"},
    {"saved", R"({"modules_to_save": ["0"]})"},
    {"token_rows", R"({"trainable_token_indices": [3, 17]})"},
    {"tied_rows", R"({"trainable_token_indices": [3, 17], "ensure_weight_tying": true})"},
};

}  // namespace

extern const MethodInfo lora_method;
const MethodInfo lora_method{"lora",
                             "Hu et al. 2021, arXiv 2106.09685",
                             "low-rank update s B A beside chosen weights",
                             5e-4,
                             make,
                             reads,
                             examples};

}  // namespace lowrank
