#include "study/analysis/spectrum.h"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

namespace lowrank {

at::Tensor singular_values(const at::Tensor& matrix) {
  const at::NoGradGuard no_grad;
  constexpr int64_t block_values = int64_t{1} << 22;
  const at::Tensor tall = matrix.size(0) >= matrix.size(1) ? matrix : matrix.t();
  const int64_t side = tall.size(1);
  const int64_t rows = std::max<int64_t>(1, block_values / std::max<int64_t>(1, side));
  at::Tensor gram = at::zeros({side, side}, at::kDouble);
  for (int64_t begin = 0; begin < tall.size(0); begin += rows) {
    const at::Tensor block =
        tall.narrow(0, begin, std::min(rows, tall.size(0) - begin)).to(at::kDouble).contiguous();
    gram.addmm_(block.t(), block);
  }
  return at::linalg_eigvalsh(gram).clamp_min(0).sqrt().flip(0).contiguous();
}

Spectrum::Spectrum(const at::Tensor& falling) {
  const at::Tensor exact = falling.to(at::kDouble).contiguous();
  const double* begin = exact.const_data_ptr<double>();
  values.assign(begin, begin + exact.numel());
}

double Spectrum::energy() const {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return sum;
}

double Spectrum::norm() const {
  return std::sqrt(energy());
}

std::vector<double> Spectrum::held() const {
  const double whole = energy();
  std::vector<double> shares;
  double sum = 0;
  for (const double value : values) {
    sum += value * value;
    shares.push_back(whole > 0 ? std::min(sum / whole, 1.0) : 0);
  }
  return shares;
}

int64_t Spectrum::directions_holding(double share) const {
  // The sum of rounded shares may end just below the whole.
  constexpr double rounding = 1e-12;
  const std::vector<double> shares = held();
  const auto found = std::ranges::find_if(shares, [&](double held) { return held >= share - rounding; });
  return found == shares.end() ? 0 : found - shares.begin() + 1;
}

double Spectrum::effective_rank() const {
  double sum = 0;
  for (const double value : values) sum += value;
  if (sum == 0) return 0;
  double entropy = 0;
  for (const double value : values) {
    const double share = value / sum;
    if (share > 0) entropy -= share * std::log(share);
  }
  return std::exp(entropy);
}

double Spectrum::stable_rank() const {
  return values.empty() || values.front() == 0 ? 0 : energy() / (values.front() * values.front());
}

}  // namespace lowrank
