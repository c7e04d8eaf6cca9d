// Direct intrinsic dimension (Aghajanyan et al. 2020, arXiv 2012.13255, section 3.1): theta = theta0 + P v,
// one vector v for all tensors (see peft/subspace/intrinsic_dimension.h).
#include "peft/core/registry.h"
#include "peft/subspace/intrinsic_dimension.h"

namespace lowrank {
namespace {

std::unique_ptr<Method> make() {
  return std::make_unique<IntrinsicDimension>("DID", false);
}

constexpr OptionExample examples[] = {
    {"of_norms", R"({"intrinsic_dimension": 40, "train": "norm|ln_|LayerNorm"})"},
};

}  // namespace

extern const MethodInfo did_method;
const MethodInfo did_method{"did",
                            "Aghajanyan et al. 2020, arXiv 2012.13255",
                            "a random subspace of all weights",
                            1e-3,
                            make,
                            reads_type<"DID">,
                            examples};

}  // namespace lowrank
