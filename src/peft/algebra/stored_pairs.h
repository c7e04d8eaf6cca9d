#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "formats/tensor_file.h"
#include "peft/algebra/factored_adapter.h"

namespace lowrank {

/// The two factors of a module in a file; nullptr: missing.
struct StoredPair {
  const StoredTensor* a = nullptr;
  const StoredTensor* b = nullptr;
  bool embedding = false;
};
using StoredPairs = std::map<std::string, StoredPair, std::less<>>;  ///< by module

/// Takes `end` from the end of the text; false if it does not end so.
bool take_end(std::string_view& text, std::string_view end);

/// A stored matrix (or vector, as a matrix of one row) in f32. Errors: corrupt for values that are not
/// finite.
at::Tensor stored_values(const StoredTensor& tensor, const std::string& where);

/// Adds the updates of all pairs. `complete` sets the scale and turns factors that are stored transposed; it
/// may return what is wrong with the pair. Errors: invalid, listing all pairs that are incomplete, misshapen
/// or wrong; invalid when there are none; corrupt.
void add_updates(FactoredAdapter& adapter, const StoredPairs& pairs,
                 const std::function<std::optional<std::string>(FactoredUpdate&)>& complete);

}  // namespace lowrank
