#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "peft/algebra/combination.h"

namespace lowrank {

/// Adapters that become one.
struct CombineOptions {
  std::vector<std::string> adapters;  ///< NAME=PATH, or a path
  std::string model;                  ///< their base; needed for those that are no LORA folders of PEFT
  std::string output;                 ///< a new folder
  CombinationOptions combination;
};

struct CombineResult {
  int64_t modules = 0, rank = 0, bytes = 0;
  double norm = 0;                 ///< Frobenius norm of the combined update
  std::vector<std::string> notes;  ///< sentences for users
};

/// Combines adapters (peft/algebra/combination.h) and writes the result as a PEFT folder, which appears when
/// it is complete. Errors: as read_factored and combine; invalid when `output` holds something; io.
CombineResult combine_adapters(const CombineOptions& options);

}  // namespace lowrank
