// rsLoRA (Kalajdzievski 2023, arXiv 2312.03732): LoRA with s = alpha / sqrt(r), which keeps the size of the
// update constant as the rank grows. Its files are LORA files with `use_rslora`.
#include "peft/core/registry.h"
#include "peft/low_rank/low_rank_method.h"

namespace lowrank {
namespace {

std::unique_ptr<Method> make() {
  LowRankVariant variant;
  variant.options.scaling = "alpha/sqrt(r)";
  return make_low_rank_method(std::move(variant));
}

constexpr OptionExample examples[] = {
    {"high_rank", R"({"rank": 24, "dropout": 0.3})"},
};

}  // namespace

extern const MethodInfo rslora_method;
const MethodInfo rslora_method{"rslora",
                               "Kalajdzievski 2023, arXiv 2312.03732",
                               "low-rank update scaled by alpha / sqrt(r), for high ranks",
                               2e-4,
                               make,
                               nullptr,
                               examples};

}  // namespace lowrank
