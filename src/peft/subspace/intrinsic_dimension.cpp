#include "peft/subspace/intrinsic_dimension.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/dot.h>

#include "base/error.h"
#include "base/rng.h"
#include "kernels/core/parallel.h"
#include "peft/core/trained_tensors.h"

namespace lowrank {
namespace {

constexpr const char* vector_name = "intrinsic_vector";
constexpr const char* lambda_name = "said_lambda";

/// Stream of the run's seed for the projections.
constexpr uint64_t projection_stream = 5;

/// The tensors trained by default: all but the token and position embeddings and the head.
std::vector<const TensorRef*> default_tensors(const ModelSpec& spec) {
  std::vector<const TensorRef*> tensors;
  for (const TensorRef& tensor : spec.tensors) {
    if (tensor.role != Role::embedding && tensor.role != Role::position && tensor.role != Role::head &&
        tensor.role != Role::constant)
      tensors.push_back(&tensor);
  }
  return tensors;
}

std::vector<const TensorRef*> tensors_named(const ModelSpec& spec, const std::vector<std::string>& names) {
  std::vector<const TensorRef*> tensors;
  for (const std::string& name : names) {
    tensors.push_back(spec.find_tensor(name));
    check(tensors.back() != nullptr, ErrorKind::invalid,
          "adapter_config.json: tensors: the model has no tensor {}", name);
  }
  return tensors;
}

}  // namespace

std::vector<Field> IntrinsicDimension::fields() {
  return {limited(field("intrinsic_dimension", dimension_, "number of trained values in all"), 1, 1 << 28),
          field("train", train_,
                "regular expression that selects, by name, the tensors in the subspace; empty: all but "
                "embeddings and head")};
}

TrainPlan IntrinsicDimension::plan(const ModelSpec& spec) {
  tensors_ = !names_.empty()  ? tensors_named(spec, names_)
             : train_.empty() ? default_tensors(spec)
                              : tensors_found(spec, train_);
  saved_ = {};
  for (const TensorRef* tensor : tensors_to_save(spec, with_head(spec, {})))
    saved_.add(*tensor, tensor->name);
  std::erase_if(tensors_, [&](const TensorRef* tensor) { return saved_.holds(*tensor); });
  TrainPlan plan;
  index_.clear();
  for (const TensorRef* tensor : tensors_) {
    index_[tensor->name] = index_.size();
    plan.uses[tensor->name] = TensorUse::generated;
    plan.targets.push_back(tensor->name);
  }
  const auto [embedding, head] = tied_pair(spec);
  head_ = head && index_.contains(embedding->name) ? head : nullptr;
  if (head_) {
    index_[head->name] = index_.at(embedding->name);
    plan.uses[head->name] = TensorUse::generated;
  }
  const auto count = std::ssize(tensors_);
  const int64_t own = dimension_ - (scales_ ? count : 0);
  check(own > 0, ErrorKind::invalid,
        "`intrinsic_dimension` {}: {} of them are scales, one a tensor; take more", dimension_, count);
  plan.parameters.push_back({vector_name, {own}});
  if (scales_) plan.parameters.push_back({lambda_name, {count}});
  saved_.plan(plan);
  return plan;
}

void IntrinsicDimension::bind(const ParameterSet& parameters) {
  vector_ = parameters.at(vector_name);
  if (scales_) lambda_ = parameters.at(lambda_name);
  saved_.bind(parameters);
}

void IntrinsicDimension::read_base(const Checkpoint& base) {
  base_ = &base;
  if (from_file_) draw();
}

void IntrinsicDimension::initialise(const Checkpoint& base, uint64_t seed) {
  const at::NoGradGuard no_grad;
  seed_ = seed;
  vector_.zero_();
  if (scales_) lambda_.fill_(1);
  saved_.initialise(base, seed);
  draw();
}

void IntrinsicDimension::draw() {
  projections_.clear();
  projections_.resize(tensors_.size());
  parallel_tasks(std::ssize(tensors_), [&](int64_t i) {
    projections_[i] = std::make_unique<const Fastfood>(*element_count(tensors_[i]->shape), vector_.numel(),
                                                       derive_seed(seed_, projection_stream, i));
  });
}

at::Tensor IntrinsicDimension::update(size_t index) const {
  const at::NoGradGuard no_grad;
  const at::Tensor projected = projections_[index]->project(vector_).view(tensors_[index]->shape);
  return scales_ ? projected * lambda_[static_cast<int64_t>(index)] : projected;
}

void IntrinsicDimension::begin_step(const StepInfo&) {
  leaves_.assign(tensors_.size(), at::Tensor());
  parallel_tasks(std::ssize(tensors_), [&](int64_t i) {
    const at::NoGradGuard no_grad;
    at::Tensor value = base_->read(base_->source(*tensors_[i]), vector_.scalar_type(), vector_.device());
    leaves_[i] = value.add_(update(i)).detach().set_requires_grad(true);
  });
}

void IntrinsicDimension::end_backward() {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> slopes(tensors_.size());
  parallel_tasks(std::ssize(tensors_), [&](int64_t i) {
    if (leaves_[i].grad().defined()) slopes[i] = projections_[i]->transposed(leaves_[i].grad().flatten());
  });
  for (size_t i = 0; i < slopes.size(); ++i) {
    if (!slopes[i].defined()) continue;
    const auto at_tensor = static_cast<int64_t>(i);
    // <dL/dtheta, P v> = <P^T dL/dtheta, v>.
    if (scales_) lambda_.mutable_grad()[at_tensor].add_(at::dot(slopes[i], vector_));
    vector_.mutable_grad().add_(scales_ ? slopes[i] * lambda_[at_tensor] : slopes[i]);
  }
  leaves_.clear();
}

at::Tensor IntrinsicDimension::weight(const Context& context, const TensorRef& tensor) const {
  if (const auto whole = saved_.value(tensor)) return *whole;
  const auto found = index_.find(tensor.name);
  if (found == index_.end()) return Hooks::weight(context, tensor);
  check(!leaves_.empty(), ErrorKind::invalid, "{} was not generated: begin_step comes first", tensor.name);
  return leaves_[found->second];
}

std::optional<at::Tensor> IntrinsicDimension::merged(const TensorRef& tensor, const at::Tensor& value) const {
  if (auto whole = saved_.value(tensor)) return whole;
  return value + update(index_.at(tensor.name)).to(value.scalar_type());
}

std::optional<at::Tensor> IntrinsicDimension::unmerged(const TensorRef& tensor,
                                                       const at::Tensor& merged) const {
  if (saved_.holds(tensor) || !index_.contains(tensor.name)) return std::nullopt;
  return merged - update(index_.at(tensor.name)).to(merged.scalar_type());
}

nlohmann::json IntrinsicDimension::config() const {
  std::vector<std::string> names;
  for (const TensorRef* tensor : tensors_) names.push_back(tensor->name);
  return {{"peft_type", type_}, {"intrinsic_dimension", dimension_}, {"seed", seed_}, {"tensors", names}};
}

void IntrinsicDimension::read_config(const nlohmann::json& config, const std::string& where) {
  from_file_ = true;
  apply(fields(), {{"intrinsic_dimension", config.value("intrinsic_dimension", nlohmann::json())}}, where);
  const auto seed = config.find("seed");
  check(seed != config.end() && seed->is_number_unsigned(), ErrorKind::invalid, "{}: seed is no whole number",
        where);
  seed_ = seed->get<uint64_t>();
  std::vector<Field> own = {field("tensors", names_, "")};
  apply(own, {{"tensors", config.value("tensors", nlohmann::json())}}, where);
}

}  // namespace lowrank
