#pragma once

#include <optional>
#include <string>
#include <vector>

#include "peft/algebra/factored_adapter.h"

namespace lowrank {

/// Orthonormal bases of the spaces that an update reads and writes, [in, k] and [out, k], the strongest
/// singular direction first; f64.
struct UpdateSpaces {
  at::Tensor inputs, outputs;
};

/// The spaces of the `directions` strongest singular directions of an update, of all if that is 0; directions
/// below 1e-6 times the strongest are left out.
UpdateSpaces spaces_of(const FactoredUpdate& update, int64_t directions);

/// Errors: invalid, listing modules of both adapters whose shapes differ.
void check_comparable(const FactoredAdapter& one, const FactoredAdapter& other);

/// How the updates D and D' of one module relate.
struct ModuleComparison {
  std::string module;
  std::optional<double> norm, other_norm;  ///< Frobenius norms; nothing where the adapter has no update
  std::optional<double> cosine;            ///< <D, D'> / (|D| |D'|)
  /// |V^T V'|^2 / min(k, k') of orthonormal bases V, V' of the spaces of inputs that the updates read, the
  /// mean squared cosine of the principal angles: the Grassmann similarity of section 7.2 of the LoRA paper
  /// (Hu et al. 2021). 1: one space holds the other; 0: they are orthogonal.
  std::optional<double> input_overlap;
  std::optional<double> output_overlap;  ///< the same for the outputs that they write to
};

/// Modules in `natural_less` order, and the two adapters as a whole.
struct AdapterComparison {
  std::vector<ModuleComparison> modules;
  double norm = 0, other_norm = 0;  ///< of all updates together
  std::optional<double> cosine;     ///< of all updates together; a missing one counts as zero
  std::optional<double> input_overlap, output_overlap;  ///< means over the modules that both have
};

/// Compares two adapters in factored form, without forming any D. `directions`: how many singular directions
/// of each update span its spaces, as spaces_of takes them. Errors: as check_comparable; interrupted.
AdapterComparison compare(const FactoredAdapter& one, const FactoredAdapter& other, int64_t directions = 0);

}  // namespace lowrank
