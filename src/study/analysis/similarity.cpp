#include "study/analysis/similarity.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

namespace lowrank {

SimilarityGrid similarity_of(const at::Tensor& one, const at::Tensor& other) {
  const at::Tensor squares = at::mm(one.to(at::kDouble).t(), other.to(at::kDouble)).square();
  const at::Tensor sums = squares.cumsum(0).cumsum(1).contiguous();
  SimilarityGrid grid{sums.size(0), sums.size(1), {}};
  const double* values = sums.const_data_ptr<double>();
  for (int64_t i = 1; i <= grid.rows; ++i) {
    for (int64_t j = 1; j <= grid.columns; ++j)
      grid.values.push_back(std::min(*values++ / static_cast<double>(std::min(i, j)), 1.0));
  }
  return grid;
}

at::Tensor random_basis(int64_t size, int64_t directions, at::Generator& generator) {
  return std::get<0>(at::linalg_qr(at::randn({size, directions}, generator, at::kDouble)));
}

SimilarityGrid mean_of(const std::vector<const SimilarityGrid*>& grids) {
  SimilarityGrid mean;
  for (const SimilarityGrid* grid : grids) {
    mean.rows = std::max(mean.rows, grid->rows);
    mean.columns = std::max(mean.columns, grid->columns);
  }
  for (int64_t i = 1; i <= mean.rows; ++i) {
    for (int64_t j = 1; j <= mean.columns; ++j) {
      double sum = 0;
      int64_t count = 0;
      for (const SimilarityGrid* grid : grids) {
        if (i > grid->rows || j > grid->columns) continue;
        sum += grid->at(i, j);
        ++count;
      }
      mean.values.push_back(count > 0 ? sum / static_cast<double>(count) : 0);
    }
  }
  return mean;
}

}  // namespace lowrank
