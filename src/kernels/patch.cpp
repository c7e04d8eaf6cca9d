#include "kernels/patch.h"

namespace lowrank {
namespace {

bool maps(const Patch& patch) {
  return patch.in_scale.defined() || patch.out_scale.defined() || patch.in_map || patch.out_map;
}

}  // namespace

bool is_for_all_tokens(const Patch& patch) {
  return patch.first_token == 0 && patch.end_token == Patch::all_tokens;
}

bool only_adds(const Patch& patch) {
  return !maps(patch) && !patch.update;
}

bool only_factors(const Patch& patch) {
  return patch.A.defined() && only_adds(patch) && !patch.bias.defined() && !patch.branch;
}

int64_t multiply_adds(const Patch& patch) {
  int64_t sum = patch.branch_multiply_adds + patch.in_map.multiply_adds + patch.out_map.multiply_adds;
  if (patch.A.defined()) sum += patch.A.numel() + patch.B.numel();
  if (patch.in_scale.defined()) sum += patch.in_scale.numel();
  if (patch.out_scale.defined()) sum += patch.out_scale.numel();
  return sum;
}

}  // namespace lowrank
