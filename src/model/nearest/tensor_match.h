#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/tensor_file.h"
#include "model/spec.h"

namespace lowrank {

/// Tensors whose names differ in their numbers only: `model.layers.*.mlp.up_proj.weight`, and how many.
struct TensorPattern {
  std::string name;
  int64_t count = 0;
};

/// How a file's tensors fit a model's.
struct TensorMatch {
  int64_t expected = 0;  ///< tensors of the model, without the optional ones that the file lacks
  int64_t stored = 0;    ///< tensors of the file
  int64_t placed = 0;    ///< of the file, with a name and a shape of the model
  int64_t renamed = 0;   ///< tensors without a place that have the shape of a missing one
  std::string prefix;    ///< with which the file's names begin in the place of the model's prefix, if so
  std::vector<TensorPattern> misshapen;  ///< names followed by both shapes
  std::vector<TensorPattern> extra;      ///< of the file, without a place
  std::vector<TensorPattern> missing;

  /// From 0 to 1: the share of both sides' tensors that belong together, where a tensor under another name
  /// counts half, and one of another shape a quarter.
  double likeness() const;
};

/// Compares names and shapes; values are not read. `gguf`: the names are those of GGUF files.
TensorMatch match_tensors(const ModelSpec& spec, std::span<const StoredTensor> tensors, bool gguf);

}  // namespace lowrank
