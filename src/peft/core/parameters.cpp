#include "peft/core/parameters.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "base/error.h"

namespace lowrank {

int64_t count_of(const ParameterSpec& spec) {
  return std::accumulate(spec.shape.begin(), spec.shape.end(), int64_t{1}, std::multiplies<>());
}

ParameterSet::ParameterSet(std::vector<ParameterSpec> specs, at::ScalarType type, InitialValues initial) {
  begins_.push_back(0);
  for (ParameterSpec& spec : specs) {
    const at::Tensor value =
        spec.frozen ? at::zeros(spec.shape, spec.integer ? at::kInt : type) : at::Tensor();
    check(by_name_.emplace(spec.name, value).second, ErrorKind::invalid, "the parameter {} stands twice",
          spec.name);
    if (spec.frozen) continue;
    begins_.push_back(begins_.back() + count_of(spec));
    specs_.push_back(std::move(spec));
  }
  values_ =
      initial == InitialValues::zero ? at::zeros({begins_.back()}, type) : at::empty({begins_.back()}, type);
  make_views();
}

void ParameterSet::make_views() {
  for (size_t i = 0; i < specs_.size(); ++i) {
    at::Tensor view = values_.narrow(0, begin(i), end(i) - begin(i)).view(specs_[i].shape).detach();
    view.set_requires_grad(true);
    by_name_[specs_[i].name] = std::move(view);
  }
}

ParameterSet ParameterSet::on(at::Device device) const {
  ParameterSet result;
  result.specs_ = specs_;
  result.begins_ = begins_;
  result.values_ = values_.to(device);
  for (const auto& [name, value] : by_name_) {
    if (!value.requires_grad()) result.by_name_[name] = value.to(device);
  }
  result.make_views();
  return result;
}

ParameterSet ParameterSet::stand_ins(const std::vector<ParameterSpec>& specs) {
  ParameterSet result;
  result.begins_.push_back(0);
  for (const ParameterSpec& spec : specs)
    result.by_name_[spec.name] =
        at::empty(spec.shape, at::device(at::kMeta).dtype(spec.integer ? at::kInt : at::kFloat));
  result.values_ = at::empty({0}, at::device(at::kMeta).dtype(at::kFloat));
  return result;
}

ParameterSet ParameterSet::part(std::string_view prefix) const {
  ParameterSet result;
  int64_t first = -1;
  result.begins_.push_back(0);
  for (size_t i = 0; i < specs_.size(); ++i) {
    if (!specs_[i].name.starts_with(prefix)) continue;
    if (first < 0) first = begins_[i];
    check(begins_[i] - first == result.begins_.back(), ErrorKind::invalid,
          "the parameters {} do not stand next to each other", prefix);
    result.begins_.push_back(begins_[i + 1] - first);
    result.specs_.push_back(specs_[i]);
    result.specs_.back().name.erase(0, prefix.size());
  }
  for (const auto& [name, value] : by_name_) {
    if (name.starts_with(prefix)) result.by_name_[name.substr(prefix.size())] = value;
  }
  const int64_t begin = std::max<int64_t>(0, first);
  result.values_ = values_.narrow(0, begin, result.begins_.back());
  return result;
}

const at::Tensor& ParameterSet::at(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  check(found != by_name_.end(), ErrorKind::invalid, "there is no parameter {}", name);
  return found->second;
}

void ParameterSet::zero_gradients() {
  if (gradients_.defined()) {
    gradients_.zero_();
    return;
  }
  gradients_ = at::zeros_like(values_);
  for (size_t i = 0; i < specs_.size(); ++i)
    by_name_[specs_[i].name].mutable_grad() =
        gradients_.narrow(0, begin(i), end(i) - begin(i)).view(specs_[i].shape);
}

}  // namespace lowrank
