#include "peft/low_rank/token_rows.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "kernels/core/device.h"

namespace lowrank {

void TokenRows::plan(const ModelSpec& spec, const std::vector<int64_t>& tokens, TrainPlan& plan) {
  tokens_ = tokens;
  if (tokens.empty()) return;
  std::vector<int64_t> sorted = tokens;
  std::ranges::sort(sorted);
  check(sorted.front() >= 0 && sorted.back() < spec.vocabulary_size, ErrorKind::invalid,
        "trainable_token_indices: token ids must lie below the vocabulary's size {}", spec.vocabulary_size);
  const auto twice = std::ranges::adjacent_find(sorted);
  check(twice == sorted.end(), ErrorKind::invalid, "trainable_token_indices: token {} stands twice",
        twice == sorted.end() ? 0 : *twice);
  embedding_ = &*std::ranges::find(spec.tensors, Role::embedding, &TensorRef::role);
  tied_ = spec.tied_head;
  vocabulary_ = spec.vocabulary_size;
  const std::string module = embedding_->name.substr(0, embedding_->name.rfind('.'));
  key_ = "base_model.model." + module + ".token_adapter.trainable_tokens_delta";
  plan.parameters.push_back({key_, {static_cast<int64_t>(tokens.size()), embedding_->shape[1]}});
  plan.targets.push_back(fmt::format("{} rows of {}", tokens.size(), module));
}

void TokenRows::bind(const ParameterSet& parameters) {
  if (!empty()) rows_ = parameters.at(key_);
}

void TokenRows::read_base(const Checkpoint& base) {
  if (empty()) return;
  const at::NoGradGuard no_grad;
  file_rows_ = at::empty(rows_.sizes(), rows_.scalar_type());
  for (size_t i = 0; i < tokens_.size(); ++i) {
    at::Tensor row = file_rows_.narrow(0, static_cast<int64_t>(i), 1);
    base.read_rows(*embedding_, tokens_[i], tokens_[i] + 1, row);
  }
  file_rows_ = file_rows_.to(rows_.device());
  if (!tied_) return;
  choice_ = at::zeros({vocabulary_, rows_.size(0)}, file_rows_.options());
  for (size_t i = 0; i < tokens_.size(); ++i) choice_[tokens_[i]][static_cast<int64_t>(i)] = 1;
}

void TokenRows::initialise() const {
  if (empty()) return;
  const at::NoGradGuard no_grad;
  at::Tensor rows = rows_;
  rows.copy_(file_rows_);
}

at::Tensor TokenRows::replace(const at::Tensor& rows, const std::vector<int64_t>& tokens,
                              double scale) const {
  std::vector<int64_t> places, numbers;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto found = std::ranges::find(tokens_, tokens[i]);
    if (found == tokens_.end()) continue;
    places.push_back(static_cast<int64_t>(i));
    numbers.push_back(found - tokens_.begin());
  }
  if (places.empty()) return rows;
  const at::Tensor values = rows_.index_select(0, indices_for(rows_, numbers)) * scale;
  return at::index_copy(rows, 0, indices_for(rows, places), values.to(rows.scalar_type()));
}

std::optional<Patch> TokenRows::head_patch(const Module& module) const {
  if (empty() || !tied_ || module.role != Role::head) return std::nullopt;
  Patch patch;
  patch.A = rows_ - file_rows_;
  patch.B = choice_;
  patch.end = module.out;
  return patch;
}

bool TokenRows::changes(const TensorRef& tensor) const {
  if (empty()) return false;
  return tensor.role == Role::embedding || (tied_ && tensor.role == Role::head);
}

std::optional<at::Tensor> TokenRows::merged(const TensorRef& tensor, const at::Tensor& weight) const {
  if (!changes(tensor)) return std::nullopt;
  return at::index_copy(weight, 0, indices_for(weight, tokens_), rows_.to(weight.scalar_type()));
}

}  // namespace lowrank
