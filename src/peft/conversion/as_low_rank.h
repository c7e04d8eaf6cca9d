#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "peft/algebra/low_rank_fit.h"
#include "peft/files/adapter_file.h"

namespace lowrank {

/// How the change of a module's weight became an update s B A.
struct FittedModule {
  std::string name;
  int64_t rank = 0;
  bool exact = false;  ///< the factors are the method's own
  double energy = 0;   ///< sum of the squared changes of the weight
  double lost = 0;     ///< that of what the update leaves out

  double lost_share() const { return energy > 0 ? lost / energy : 0; }
};

/// The lost energy of all modules as a share of their energy.
double lost_share(std::span<const FittedModule> modules);

/// Called after each of `total` weights.
using ConversionProgress = std::function<void(int64_t done, int64_t total)>;

struct LowRankConversion {
  Adapter adapter;  ///< a LoRA
  std::vector<FittedModule> modules;
  std::vector<std::string> whole;  ///< tensors that the adapter holds in full, as the other one does
};

/// The energy that is kept where neither a rank nor an energy is chosen.
inline constexpr double usual_energy = 0.99;

/// An adapter whose method changes weights as a LoRA: the method's own factors where it only adds such (and
/// their rank is at most `choice.most`), else the best low-rank approximation of merged weight minus base,
/// one weight at a time. An empty choice keeps own factors and `usual_energy` of other changes. What the
/// adapter trains in full (modules_to_save, bias, a label head) is copied. Errors: unsupported, naming the
/// method and everything that it changes and a LoRA cannot hold; invalid when nothing differs from the base;
/// interrupted.
LowRankConversion convert_to_low_rank(const Checkpoint& base, const Adapter& adapter,
                                      const RankChoice& choice, const ConversionProgress& progress = {});

/// An update with the factors of a fit, scale 1.
LowRankUpdate update_from(const LowRankFit& fit, const Module& module);

/// The change of a module's weight as the matrix that its factors make up, [out, in]; for an embedding
/// [d, V].
at::Tensor as_update_matrix(const at::Tensor& change, const Module& module);

}  // namespace lowrank
