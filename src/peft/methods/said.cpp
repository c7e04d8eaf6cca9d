// Structure-aware intrinsic dimension (Aghajanyan et al. 2020, arXiv 2012.13255, section 3.2):
//   theta_i = theta0_i + lambda_i P_i v
// One scale per tensor, taken from the same budget (see peft/subspace/intrinsic_dimension.h).
#include "peft/core/registry.h"
#include "peft/subspace/intrinsic_dimension.h"

namespace lowrank {
namespace {

std::unique_ptr<Method> make() {
  return std::make_unique<IntrinsicDimension>("SAID", true);
}

constexpr OptionExample examples[] = {
    {"of_a_layer", R"({"intrinsic_dimension": 60, "train": "\\.1\\."})"},
};

}  // namespace

extern const MethodInfo said_method;
const MethodInfo said_method{"said",
                             "Aghajanyan et al. 2020, arXiv 2012.13255",
                             "a random subspace, scaled by tensor",
                             3e-3,
                             make,
                             reads_type<"SAID">,
                             examples};

}  // namespace lowrank
