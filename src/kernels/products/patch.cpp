#include "kernels/products/patch.h"

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

int64_t macs_per_token(const Patch& patch) {
  int64_t sum = patch.branch_macs + patch.in_map.macs + patch.out_map.macs;
  if (patch.A.defined()) sum += patch.A.numel() + patch.B.numel();
  if (patch.in_scale.defined()) sum += patch.in_scale.numel();
  if (patch.out_scale.defined()) sum += patch.out_scale.numel();
  return sum;
}

int64_t kept_values(const Patch& patch, int64_t in) {
  const int64_t out = patch.end - patch.begin;
  int64_t values = 0;
  if (patch.in_scale.defined()) values += in;
  if (patch.out_scale.defined()) values += out;
  if (patch.A.defined()) values += 2 * patch.A.size(0);
  if (patch.in_map) values += 3 * in;
  if (patch.out_map) values += 3 * out;
  if (patch.branch) values += in + out;
  return values;
}

}  // namespace lowrank
