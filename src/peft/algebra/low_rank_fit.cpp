#include "peft/algebra/low_rank_fit.h"

#include <algorithm>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

#include "peft/algebra/factored_svd.h"
#include "peft/core/low_rank_init.h"

namespace lowrank {
namespace {

/// Vectors beyond those wanted, which make the wanted ones exact sooner.
constexpr int64_t oversampling = 10;
constexpr int64_t iterations = 6;
/// Of a matrix whose smaller side is at most this, all singular vectors are computed.
constexpr int64_t small = 256;

double energy_of(const at::Tensor& values) {
  const double norm = at::linalg_vector_norm(values, 2, {}, false, at::kDouble).item<double>();
  return norm * norm;
}

/// The smallest number of singular values that hold the wanted energy; nothing if all of them hold less.
std::optional<int64_t> rank_that_holds(const at::Tensor& s, double wanted) {
  const at::Tensor held = s.to(at::kDouble).square().cumsum(0).contiguous();
  const double* begin = held.const_data_ptr<double>();
  const double* found = std::lower_bound(begin, begin + held.numel(), wanted);
  if (found == begin + held.numel()) return std::nullopt;
  return found - begin + 1;
}

/// The rank for singular values of a matrix with this energy; nothing if more of them are needed.
std::optional<int64_t> chosen_rank(const at::Tensor& s, double energy, const RankChoice& choice, bool all) {
  const int64_t most = std::min(choice.most.value_or(s.numel()), s.numel());
  if (!choice.energy) return most;
  if (const std::optional<int64_t> rank = rank_that_holds(s, *choice.energy * energy))
    return std::min(*rank, most);
  const bool enough = all || (choice.most && *choice.most <= s.numel());
  return enough ? std::optional(most) : std::nullopt;
}

LowRankFit cut(const SingularVectors& v, int64_t rank, double energy) {
  rank = std::max<int64_t>(rank, 1);
  LowRankFit fit;
  fit.b = (v.u.narrow(1, 0, rank) * v.s.narrow(0, 0, rank)).to(at::kFloat).contiguous();
  fit.a = v.vt.narrow(0, 0, rank).to(at::kFloat).contiguous();
  fit.energy = energy;
  return fit;
}

SingularVectors all_singular_vectors(const at::Tensor& matrix) {
  const auto [u, s, vt] = at::linalg_svd(matrix, false);
  return {u, s, vt};
}

/// The energy of matrix - B A, by blocks of rows.
double rest_of(const at::Tensor& matrix, const LowRankFit& fit) {
  const int64_t rows = std::max<int64_t>(1, (int64_t{1} << 22) / matrix.size(1));
  double rest = 0;
  for (int64_t begin = 0; begin < matrix.size(0); begin += rows) {
    const int64_t count = std::min(rows, matrix.size(0) - begin);
    rest += energy_of(at::addmm(matrix.narrow(0, begin, count), fit.b.narrow(0, begin, count), fit.a, 1, -1));
  }
  return rest;
}

/// Those that a choice needs: all of a small matrix, else as many as hold the energy.
std::pair<SingularVectors, int64_t> vectors_for(const at::Tensor& matrix, double energy,
                                                const RankChoice& choice) {
  const int64_t side = std::min(matrix.size(0), matrix.size(1));
  constexpr int64_t first = 32;
  int64_t wanted = choice.energy && !choice.most ? first : std::min(*choice.most, side);
  // Computing a third of the vectors by iteration takes as long as computing all of them.
  for (; side > small && wanted + oversampling < side / 3; wanted *= 2) {
    SingularVectors found = leading_singular_vectors(matrix, wanted + oversampling, iterations);
    found = {found.u.narrow(1, 0, wanted), found.s.narrow(0, 0, wanted), found.vt.narrow(0, 0, wanted)};
    if (const std::optional<int64_t> rank = chosen_rank(found.s, energy, choice, false))
      return {found, *rank};
  }
  SingularVectors all = all_singular_vectors(matrix);
  const int64_t rank = *chosen_rank(all.s, energy, choice, true);
  return {std::move(all), rank};
}

}  // namespace

SingularVectors leading_singular_vectors(const at::Tensor& matrix, int64_t count, int64_t rounds) {
  at::Generator generator = seeded_generator(0);
  const int64_t columns = std::min({count, matrix.size(0), matrix.size(1)});
  at::Tensor q = std::get<0>(
      at::linalg_qr(at::mm(matrix, at::randn({matrix.size(1), columns}, generator).to(matrix.dtype()))));
  for (int64_t i = 0; i < rounds; ++i) {
    q = std::get<0>(at::linalg_qr(at::mm(matrix.t(), q)));
    q = std::get<0>(at::linalg_qr(at::mm(matrix, q)));
  }
  const auto [u, s, vt] = at::linalg_svd(at::mm(q.t(), matrix), false);
  return {at::mm(q, u), s, vt};
}

LowRankFit fit_low_rank(const at::Tensor& given, const RankChoice& choice) {
  const at::NoGradGuard no_grad;
  const at::Tensor matrix = given.to(at::kFloat).contiguous();
  const double energy = energy_of(matrix);
  const auto [vectors, rank] = vectors_for(matrix, energy, choice);
  LowRankFit fit = cut(vectors, rank, energy);
  fit.lost = rest_of(matrix, fit);
  return fit;
}

LowRankFit fit_product(const at::Tensor& b, const at::Tensor& a, const RankChoice& choice) {
  const at::NoGradGuard no_grad;
  const int64_t rank = a.size(0);
  if (2 * rank > std::min(b.size(0), a.size(1))) return fit_low_rank(at::mm(b, a), choice);
  const FactoredSvd whole = svd_of_product(b, a);
  const at::Tensor squares = whole.strengths.square();
  const double energy = squares.sum().item<double>();
  const int64_t kept = std::max<int64_t>(1, *chosen_rank(whole.strengths, energy, choice, true));
  LowRankFit fit = cut({whole.outputs, whole.strengths, whole.inputs.t()}, kept, energy);
  fit.lost = squares.narrow(0, kept, squares.numel() - kept).sum().item<double>();
  return fit;
}

double energy_of_product(const at::Tensor& b, const at::Tensor& a) {
  const at::NoGradGuard no_grad;
  const at::Tensor left = b.to(at::kDouble), right = a.to(at::kDouble);
  return (at::mm(left.t(), left) * at::mm(right, right.t())).sum().item<double>();
}

}  // namespace lowrank
