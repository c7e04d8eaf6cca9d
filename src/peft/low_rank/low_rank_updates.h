#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/checkpoint.h"
#include "peft/core/method.h"
#include "peft/core/trained_tensors.h"
#include "peft/low_rank/low_rank_options.h"
#include "peft/low_rank/token_rows.h"

namespace lowrank {

/// The factors of one adapted module.
struct LowRankFactors {
  const Module* module = nullptr;
  int64_t rank = 0;
  double scale = 0;     ///< s
  uint64_t number = 0;  ///< among the adapted modules; makes dropout masks differ
  at::Tensor a;         ///< A [r, in]; for an embedding [r, V]
  at::Tensor b;         ///< B [out, r]; for an embedding [d, r]
  at::Tensor bias;      ///< [out], undefined without `lora_bias`
};

/// What methods that add s B A to weights share: the factors of all targeted modules, the tensors and rows
/// trained beside them, and the hooks for all of these. For an embedding y = E[i] + s B A[:, i]; a head tied
/// to it stays unchanged, or has A' = B^T and B' = A^T with `ensure_weight_tying`. Keys are PEFT's.
class LowRankUpdates {
 public:
  /// Errors: as `select_modules`, and for options that contradict each other or the model.
  TrainPlan plan(const ModelSpec& spec, const LowRankOptions& options);
  void bind(const ParameterSet& parameters);
  void read_base(const Checkpoint& base) { rows_.read_base(base); }
  void initialise(const Checkpoint& base, uint64_t seed);

  at::Tensor embed(const Context& context, const Embedding& embedding, const at::Tensor& plain) const;
  std::optional<Patch> patch(const Context& context, const Module& module) const;
  const TrainedTensors& saved() const { return saved_; }

  /// For the embedding, or a matrix with trained rows: the matrix with the update merged in. Nothing for
  /// updates that are patches.
  bool merges(const TensorRef& tensor) const;
  std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& value) const;
  /// The inverse of `merged`; nothing where rows are replaced.
  std::optional<at::Tensor> unmerged(const TensorRef& tensor, const at::Tensor& merged) const;
  bool keeps_tied_head() const { return tied_ || !rows_.empty(); }

  std::vector<const Module*> modules() const;
  /// These, and the head that follows the embedding.
  std::vector<const Module*> patched() const;
  const std::vector<LowRankFactors>& factors() const { return factors_; }
  /// The module's factors; nullptr if it is not adapted.
  const LowRankFactors* find(std::string_view module) const;
  /// As Method::low_rank_form.
  LowRankForm form() const;

 private:
  bool has_bias(const Module& module) const { return options_.lora_bias && module.is_linear(); }
  void add_factors(const Module& module, TrainPlan& plan);
  void add_saved(const ModelSpec& spec);

  LowRankOptions options_;
  std::vector<LowRankFactors> factors_;
  std::map<std::string, size_t, std::less<>> by_module_;
  std::optional<size_t> embedding_;  ///< the embedding's factors
  const Module* head_ = nullptr;     ///< the head that follows them
  bool tied_ = false;                ///< the head follows the embedding
  TrainedTensors saved_;
  TokenRows rows_;
};

}  // namespace lowrank
