#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/products/patch.h"
#include "peft/core/method.h"
#include "peft/low_rank/low_rank_options.h"

namespace lowrank {

/// LoRA on the experts of mixtures, as PEFT's `target_parameters` has it: one adapter for a parameter that
/// stacks a matrix of each of E experts, `mlp.experts.gate_up_proj` [E, out, in]. Expert e has the update s
/// B_e A_e with its own factors; in the file A [E r, in] holds A_e in rows e r to (e + 1) r, and B [out, r E]
/// holds column j of B_e in column j E + e. Gate and up are one matrix, so they share A_e. Routers
/// (`gate.weight`) have plain factors.
class ExpertUpdates {
 public:
  /// Adds the parameters that `options.target_parameters` name. Errors: invalid for a name that fits none;
  /// unsupported together with dropout or lora_bias, as in PEFT.
  void plan(const ModelSpec& spec, const LowRankOptions& options, TrainPlan& plan);
  void bind(const ParameterSet& parameters);
  void initialise(uint64_t seed);
  /// Provides each expert's factors as leaves.
  void begin_step();
  /// Adds the leaves' gradients to those of the parameters.
  void end_backward();

  std::vector<Patch> patches(const Module& module) const;
  std::vector<const Module*> modules() const { return modules_; }
  bool empty() const { return stacks_.empty(); }

 private:
  /// A parameter of one layer.
  struct Stack {
    std::string name;  ///< as transformers has it in memory
    std::string key;   ///< in the file, before `.lora_A.weight`
    int64_t experts = 1, rank = 0, in = 0, out = 0;
    double scale = 0;
    at::Tensor a, b;                 ///< as in the file
    std::vector<at::Tensor> leaves;  ///< A_e [r, in] of each expert
  };
  /// The rows of a stack's expert that a module has.
  struct Part {
    size_t stack = 0;
    int64_t expert = 0, first_row = 0, rows = 0, step = 1;
    at::Tensor leaf = {};  ///< those rows of B_e, [rows, r]
  };

  void add_stack(const TensorRef& tensor, std::string key, const LowRankOptions& options);
  /// The part's rows of a stack's B, or of its gradient: a view [rows, r].
  at::Tensor rows_of(const at::Tensor& b, const Part& part) const;

  std::vector<Stack> stacks_;
  std::map<std::string, Part, std::less<>> parts_;  ///< by module
  std::vector<const Module*> modules_;
  std::string init_;
};

/// PEFT's rewriting: where folders hold the matrices of each expert, target_modules gate_proj with up_proj,
/// down_proj (w1, w3, w2) and gate become the parameters gate_up_proj, down_proj and gate.weight; rank and
/// alpha of the first, which is two matrices in one, are doubled. Errors: invalid for one of gate_proj and
/// up_proj without the other.
void move_expert_targets(const ModelSpec& spec, LowRankOptions& options);

}  // namespace lowrank
