#include "kernels/products/patched_product.h"

#include <algorithm>
#include <array>

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros_like.h>

#include "base/error.h"
#include "kernels/operations/dropout.h"

namespace lowrank {
namespace {

using Patches = std::vector<const Patch*>;

bool drops(const Patch& patch) {
  return patch.dropout.p > 0;
}

/// drop(x) of the patch's own tokens from plain operations.
at::Tensor dropped(const at::Tensor& x, const Patch& patch) {
  return drops(patch) ? x * apply_dropout(at::zeros_like(x).fill_(1), patch.dropout) : x;
}

/// Rows and tokens covered by the same patches.
struct Cell {
  int64_t begin = 0, end = 0;              ///< rows of W
  int64_t first_token = 0, end_token = 0;  ///< rows of x
  Patches patches;

  /// This cell's part of a patch's tensor along the rows of W.
  at::Tensor own(const at::Tensor& all, const Patch& patch, int64_t dimension = 0) const {
    return all.narrow(dimension, begin - patch.begin, end - begin);
  }
};

/// True if the cell's values are computed from W x itself, not from a product with other inputs or weights.
bool uses_plain_product(const Patch* patch) {
  if (!patch) return true;
  return !patch->in_scale.defined() && !patch->in_map && !(patch->update && !drops(*patch));
}

/// W x for the rows where some cell needs it, computed once.
struct PlainProduct {
  int64_t begin = INT64_MAX, end = 0;
  at::Tensor y;  ///< [T, end - begin]

  void add(const Cell& cell) {
    begin = std::min(begin, cell.begin);
    end = std::max(end, cell.end);
  }
  at::Tensor of(const Cell& cell) const {
    return y.narrow(0, cell.first_token, cell.end_token - cell.first_token)
        .narrow(1, cell.begin - begin, cell.end - cell.begin);
  }
};

/// The patch that does more than add; nullptr if there is none.
const Patch* mapping(const Patches& patches) {
  const auto found = std::ranges::find_if(patches, [](const Patch* patch) { return !only_adds(*patch); });
  if (found == patches.end()) return nullptr;
  check(patches.size() == 1, ErrorKind::unsupported,
        "two patches change the same rows of a product for the same tokens, and one does not merely add");
  return *found;
}

/// M_o(W M_i(l * x) + b) * g of one cell, without other terms; `plain` is W x if it is used.
at::Tensor mapped(const at::Tensor& x, const Cell& cell, const ProductRows& w, const at::Tensor& bias,
                  const Patch& patch, const at::Tensor& plain) {
  const auto own_bias = [&](const at::Tensor& y) { return bias.defined() ? y + bias : y; };
  if (!patch.scales_bias) {
    const at::Tensor g = cell.own(patch.out_scale, patch);
    if (!drops(patch)) return own_bias(plain * g);
    return own_bias(plain + w.product(dropped(x, patch).to(x.scalar_type()), cell.begin, cell.end) * (g - 1));
  }
  at::Tensor y = plain;
  if (!y.defined()) {
    at::Tensor input = patch.in_scale.defined() ? (x * patch.in_scale).to(x.scalar_type()) : x;
    if (patch.in_map) input = patch.in_map.apply(input).to(x.scalar_type());
    y = w.product(input, cell.begin, cell.end);
  }
  y = own_bias(y);
  if (patch.out_map) y = patch.out_map.apply(y);
  return patch.out_scale.defined() ? y * cell.own(patch.out_scale, patch) : y;
}

/// W x + b of a cell, scaled, mapped or updated if a patch says so.
at::Tensor base_of(const at::Tensor& x, const Cell& cell, const ProductRows& w, const at::Tensor& bias,
                   const PlainProduct& plain) {
  const Patch* patch = mapping(cell.patches);
  at::Tensor y = uses_plain_product(patch) ? plain.of(cell) : at::Tensor();
  if (patch && !patch->update) return mapped(x, cell, w, bias, *patch, y);
  const bool in_one = !y.defined();
  if (in_one) y = w.updated(x, *patch, true);
  if (bias.defined()) y = y + bias;
  if (patch && !in_one) y = y + w.updated(dropped(x, *patch).to(x.scalar_type()), *patch, false);
  return y;
}

at::Tensor computed(const at::Tensor& all, const Cell& cell, const ProductRows& w, const at::Tensor& all_bias,
                    const PlainProduct& plain) {
  const at::Tensor x = all.narrow(0, cell.first_token, cell.end_token - cell.first_token);
  const at::Tensor bias =
      all_bias.defined() ? all_bias.narrow(0, cell.begin, cell.end - cell.begin) : all_bias;
  at::Tensor y = base_of(x, cell, w, bias, plain);
  for (const Patch* patch : cell.patches) {
    if (patch->A.defined()) {
      const at::Tensor inner = at::mm(dropped(x, *patch).to(factor_type(x)), patch->A.t());
      y = y + at::mm(inner, cell.own(patch->B, *patch).t()) * patch->scale;
    }
    if (patch->bias.defined()) y = y + cell.own(patch->bias, *patch);
    if (patch->branch) y = y + cell.own(patch->branch(x), *patch, 1);
  }
  return y.to(all.scalar_type());
}

/// The distinct places where the patches' ranges begin and end, sorted, including 0 and `end`.
template <class Range>
std::vector<int64_t> cuts(const Patches& patches, int64_t end, const Range& range) {
  std::vector<int64_t> places{0, end};
  for (const Patch* patch : patches) {
    for (const int64_t place : range(*patch)) places.push_back(std::min(place, end));
  }
  std::ranges::sort(places);
  places.erase(std::unique(places.begin(), places.end()), places.end());
  return places;
}

std::array<int64_t, 2> row_range(const Patch& patch) {
  return {patch.begin, patch.end};
}

std::array<int64_t, 2> token_range(const Patch& patch) {
  return {patch.first_token, patch.end_token};
}

template <class Range>
Patches covering(const Patches& patches, int64_t begin, const Range& range) {
  Patches found;
  for (const Patch* patch : patches) {
    if (range(*patch)[0] <= begin && begin < range(*patch)[1]) found.push_back(patch);
  }
  return found;
}

/// Runs of rows, each cut by tokens; a run has at least one cell.
std::vector<std::vector<Cell>> cells(const std::vector<Patch>& patches, int64_t out, int64_t tokens) {
  Patches all;
  for (const Patch& patch : patches) all.push_back(&patch);
  std::vector<std::vector<Cell>> grid;
  const std::vector<int64_t> rows = cuts(all, out, row_range);
  for (size_t i = 0; i + 1 < rows.size(); ++i) {
    const Patches here = covering(all, rows[i], row_range);
    const std::vector<int64_t> places = cuts(here, tokens, token_range);
    std::vector<Cell>& run = grid.emplace_back();
    for (size_t j = 0; j + 1 < places.size(); ++j)
      run.push_back({rows[i], rows[i + 1], places[j], places[j + 1], covering(here, places[j], token_range)});
    if (run.empty()) run.push_back({rows[i], rows[i + 1], 0, 0, here});
  }
  return grid;
}

}  // namespace

at::ScalarType factor_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

at::Tensor patched_product(const at::Tensor& x, const ProductRows& w, const at::Tensor& bias,
                           const std::vector<Patch>& patches) {
  const std::vector<std::vector<Cell>> grid = cells(patches, w.out, x.size(0));
  PlainProduct plain;
  for (const std::vector<Cell>& run : grid) {
    for (const Cell& cell : run) {
      if (uses_plain_product(mapping(cell.patches))) plain.add(cell);
    }
  }
  if (plain.end > 0) plain.y = w.product(x, plain.begin, plain.end);
  std::vector<at::Tensor> columns;
  for (const std::vector<Cell>& run : grid) {
    std::vector<at::Tensor> parts;
    for (const Cell& cell : run) parts.push_back(computed(x, cell, w, bias, plain));
    columns.push_back(parts.size() == 1 ? parts.front() : at::cat(parts));
  }
  return columns.size() == 1 ? columns.front() : at::cat(columns, 1);
}

at::Tensor patched_weight(const at::Tensor& weight, const std::vector<Patch>& patches) {
  at::Tensor w = weight;
  for (const Patch& patch : patches) {
    at::Tensor changed = w;
    if (patch.update) changed = changed + patch.update.rows(w, patch.update.parameters, 0, w.size(0));
    if (patch.in_map) changed = patch.in_map.transposed(changed);
    if (patch.in_scale.defined()) changed = changed * patch.in_scale;
    if (patch.out_map) changed = patch.out_map.apply(changed.t()).t();
    if (patch.out_scale.defined()) changed = changed * patch.out_scale.unsqueeze(1);
    if (patch.A.defined()) changed = at::addmm(changed, patch.B, patch.A, 1, patch.scale);
    if (patch.branch) {
      check(patch.branch_is_linear, ErrorKind::unsupported,
            "a branch that is not linear is in no weight's reach");
      changed = changed + patch.branch(at::eye(w.size(1), w.options())).t();
    }
    w = changed;
  }
  return w;
}

at::Tensor patched_bias(const at::Tensor& bias, const std::vector<Patch>& patches) {
  at::Tensor b = bias;
  for (const Patch& patch : patches) {
    if (patch.scales_bias && patch.out_map) b = patch.out_map.apply(b.unsqueeze(0)).squeeze(0);
    if (patch.scales_bias && patch.out_scale.defined()) b = b * patch.out_scale;
    if (patch.bias.defined()) b = b + patch.bias;
  }
  return b;
}

}  // namespace lowrank
