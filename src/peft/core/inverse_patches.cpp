#include "peft/core/inverse_patches.h"

#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/eye.h>

#include "base/error.h"

namespace lowrank {
namespace {

using Function = std::function<at::Tensor(const at::Tensor&)>;

double largest(const at::Tensor& values) {
  return values.numel() == 0 ? 0 : values.abs().max().item<double>();
}

/// Improves x until f(x) is `value` up to rounding; `back` is about the inverse of f. The rest shrinks by a
/// constant factor a round, and stops to shrink where it is rounding.
at::Tensor solved(const std::string& name, const at::Tensor& value, const Function& f, const Function& back) {
  constexpr int most_rounds = 200;
  constexpr double rounding = 4 * std::numeric_limits<float>::epsilon();
  const double size = largest(value);
  at::Tensor x = back(value), best = x;
  double least = std::numeric_limits<double>::infinity();
  for (int round = 0; round < most_rounds; ++round) {
    const at::Tensor rest = value - f(x);
    const double left = largest(rest);
    if (left < least) best = x;
    if (left == 0 || !(left < least)) break;
    least = left;
    x = x + back(rest);
  }
  check(
      least <= rounding * size, ErrorKind::invalid,
      "the adapter's change of {} is too large to be taken back: what is left of it is {:.2g} of its values",
      name, size > 0 ? least / size : least);
  return best;
}

at::Tensor divided(const std::string& name, const at::Tensor& values, const at::Tensor& scale) {
  check(scale.ne(0).all().item<bool>(), ErrorKind::invalid,
        "{} was multiplied by zeros, which cannot be taken back", name);
  return values / scale;
}

at::Tensor same(const at::Tensor& values) {
  return values;
}

}  // namespace

at::Tensor inverse_by_iteration(const std::string& name, const at::Tensor& value, const Function& f) {
  return solved(name, value, f, same);
}

at::Tensor unpatched_weight(const std::string& name, const at::Tensor& merged,
                            const std::vector<Patch>& patches) {
  at::Tensor w = merged;
  for (auto patch = patches.rbegin(); patch != patches.rend(); ++patch) {
    if (patch->branch) w = w - patch->branch(at::eye(w.size(1), w.options())).t();
    if (patch->A.defined()) w = at::addmm(w, patch->B, patch->A, 1, -patch->scale);
    if (patch->out_scale.defined()) w = divided(name, w, patch->out_scale.unsqueeze(1));
    const LinearMap& out = patch->out_map;
    if (out) w = solved(name, w.t(), out.apply, out.transposed).t();
    if (patch->in_scale.defined()) w = divided(name, w, patch->in_scale);
    const LinearMap& in = patch->in_map;
    if (in) w = solved(name, w, in.transposed, in.apply);
    const WeightUpdate& update = patch->update;
    if (!update) continue;
    w = inverse_by_iteration(name, w, [&](const at::Tensor& rows) {
      return rows + update.rows(rows, update.parameters, 0, rows.size(0));
    });
  }
  return w.contiguous();
}

at::Tensor unpatched_bias(const std::string& name, const at::Tensor& merged,
                          const std::vector<Patch>& patches) {
  at::Tensor b = merged;
  for (auto patch = patches.rbegin(); patch != patches.rend(); ++patch) {
    if (patch->bias.defined()) b = b - patch->bias;
    if (!patch->scales_bias) continue;
    if (patch->out_scale.defined()) b = divided(name, b, patch->out_scale);
    const LinearMap& out = patch->out_map;
    if (out) b = solved(name, b.unsqueeze(0), out.apply, out.transposed).squeeze(0);
  }
  return b.contiguous();
}

}  // namespace lowrank
