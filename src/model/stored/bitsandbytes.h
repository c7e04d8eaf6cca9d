#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "formats/safetensors_index.h"

namespace lowrank {

/// A matrix that bitsandbytes stored in 4 bits (kernels/products/nf4.h).
struct StoredNf4 {
  std::vector<int64_t> shape;
  at::Tensor packed;  ///< uint8, the file's bytes
  at::Tensor scales;  ///< f32, one per `block` values
  int64_t block = 64;
};

/// The matrices of a folder that bitsandbytes quantised, by the name of their weight. Errors: unsupported for
/// its other types (fp4, int8); corrupt if the parts of a matrix are inconsistent.
std::map<std::string, StoredNf4, std::less<>> nf4_tensors(const SafetensorsIndex& files,
                                                          const std::string& where);

/// True for the tensors that are stored beside such a weight.
bool is_nf4_part(std::string_view name);

}  // namespace lowrank
