#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/tensor_file.h"
#include "peft/core/low_rank_form.h"

namespace lowrank {

/// Which factors of a module a file holds transposed: A as [in, r], B as [r, out].
struct FactorLayout {
  bool a_transposed = false;
  bool b_transposed = false;
};

/// How a file format names and lays out the factors of a model's modules: `STEM.lora_a`, `STEM.lora_b`.
struct FactorNames {
  std::map<std::string, const Module*, std::less<>> modules;  ///< by stem
  std::function<FactorLayout(const Module&)> layout;
};

/// The updates that the tensors make up, in the model's order, values in f32; each rank is that of its
/// factors, and alpha is left to the caller. Errors: invalid, listing all missing, unexpected (each with the
/// nearest name) and misshapen tensors after `where`; corrupt for values that are not finite.
std::vector<LowRankUpdate> read_factor_pairs(std::span<const StoredTensor> tensors, const FactorNames& names,
                                             const std::string& where);

}  // namespace lowrank
