#include "peft/parameters.h"

#include <functional>
#include <numeric>

#include <ATen/ops/zeros.h>

#include "base/error.h"

namespace lowrank {

int64_t count_of(const ParameterSpec& spec) {
  return std::accumulate(spec.shape.begin(), spec.shape.end(), int64_t{1}, std::multiplies<>());
}

ParameterSet::ParameterSet(std::vector<ParameterSpec> specs, at::ScalarType type) {
  begins_.push_back(0);
  for (ParameterSpec& spec : specs) {
    const at::Tensor value = spec.frozen ? at::zeros(spec.shape, type) : at::Tensor();
    check(by_name_.emplace(spec.name, value).second, ErrorKind::invalid, "the parameter {} stands twice",
          spec.name);
    if (spec.frozen) continue;
    begins_.push_back(begins_.back() + count_of(spec));
    specs_.push_back(std::move(spec));
  }
  values_ = at::zeros({begins_.back()}, type);
  gradients_ = at::zeros({begins_.back()}, type);
  for (size_t i = 0; i < specs_.size(); ++i) {
    at::Tensor view = values_.narrow(0, begin(i), end(i) - begin(i)).view(specs_[i].shape).detach();
    view.set_requires_grad(true);
    view.mutable_grad() = gradients_.narrow(0, begin(i), end(i) - begin(i)).view(specs_[i].shape);
    by_name_[specs_[i].name] = std::move(view);
  }
}

const at::Tensor& ParameterSet::at(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  check(found != by_name_.end(), ErrorKind::invalid, "there is no parameter {}", name);
  return found->second;
}

void ParameterSet::zero_gradients() {
  gradients_.zero_();
}

}  // namespace lowrank
