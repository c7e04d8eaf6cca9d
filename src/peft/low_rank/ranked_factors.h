#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "model/spec.h"
#include "peft/core/method.h"
#include "peft/low_rank/rank_budget.h"

namespace lowrank {

/// The factors of one module's update s B diag(E) A, and which of its ranks are kept.
struct RankedFactors {
  at::Tensor a, b, e;  ///< [r, in], [out, r], [r, 1]
  at::Tensor kept;     ///< [r], bool; undefined until ranks have been allocated
  Importance of_a, of_b, of_e;

  /// Importance of each rank, [r]: the score of its E and the mean scores of its row of A and column of B.
  at::Tensor score() const;
};

/// The ranks kept of each module of an adapter, in PEFT's form: the name of a module's E and r flags.
using RankPattern = std::map<std::string, std::vector<bool>>;

/// The factors of all modules of an adapter, among which ranks are allocated by importance in training.
/// Names in files are PEFT's: `lora_A`, `lora_B` and `lora_E` of each module.
class RankedFactorSet {
 public:
  /// The parameters of a module with r ranks.
  static std::vector<ParameterSpec> parameters(const Module& module, int64_t r);

  /// Takes the factors of these modules, none of them with averages or removed ranks.
  void take(const std::vector<const Module*>& modules, const ParameterSet& parameters);
  const RankedFactors& of(size_t module) const { return factors_[module]; }
  /// E A of each module, [r, in].
  std::vector<at::Tensor> scaled_rows() const;

  /// E zero, A and B normal with this deviation.
  void initialise(double deviation, uint64_t seed) const;
  /// mean(||A A^T - I||_F, ||B^T B - I||_F) over all modules, times `weight`.
  at::Tensor orthogonality(double weight) const;

  /// Adds a step to the averages of importance; the gradients are multiplied by `gradient_scale`.
  void measure(double gradient_scale, double beta1, double beta2);
  /// True after the first `measure`.
  bool measured() const { return factors_.front().of_e.known(); }
  /// Chooses anew which ranks are kept, as many as the schedule allows at this step.
  void allocate(const BudgetSchedule& schedule, int64_t step);
  /// Sets E to zero for ranks that are not kept.
  void clear_dropped() const;

  /// Which ranks were kept, and the averages that decide this, for Method::state.
  std::vector<FileTensor> state() const;
  /// Restores what `state` returned.
  void set_state(const std::vector<FileTensor>& state);
  /// The tensors of a file without the rows and columns of removed ranks.
  std::vector<FileTensor> without_dropped(std::vector<FileTensor> planned) const;
  /// Enters the kept ranks of each module into a rank_pattern, where ranks have been allocated.
  void write_pattern(nlohmann::json& pattern) const;

 private:
  std::vector<const Module*> modules_;
  std::vector<RankedFactors> factors_;  ///< by module
};

/// Name of a module's E in a rank_pattern.
std::string pattern_key(const Module& module);

}  // namespace lowrank
