#include "peft/conversion/tuned_form.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>
#include <fmt/ranges.h>

#include "base/error.h"

namespace lowrank {

void check_tuned_form(const Checkpoint& base, const Checkpoint& tuned) {
  std::vector<std::string> problems;
  for (const TensorRef& tensor : base.spec().tensors) {
    const TensorRef* other = tuned.spec().find_tensor(tensor.name);
    if (!other) {
      problems.push_back(fmt::format("{} is missing", tensor.name));
    } else if (other->shape != tensor.shape) {
      problems.push_back(fmt::format("{} is {}, not {}", tensor.name, fmt::join(other->shape, " x "),
                                     fmt::join(tensor.shape, " x ")));
    }
  }
  for (const TensorRef& tensor : tuned.spec().tensors) {
    if (!base.spec().find_tensor(tensor.name))
      problems.push_back(fmt::format("{} is not in the base", tensor.name));
  }
  check(problems.empty(), ErrorKind::invalid,
        "{} is no tuned form of {}: their tensors differ in more than values: {}", tuned.path().string(),
        base.path().string(), fmt::join(problems, "; "));
}

bool is_stored(const Checkpoint& model, const TensorRef& tensor) {
  return &model.source(tensor) == &tensor && (model.find(tensor) || model.nf4(tensor));
}

at::Tensor finite_values(const Checkpoint& model, const TensorRef& tensor) {
  at::Tensor values = model.start(model.source(tensor), 0);
  check(at::isfinite(values).all().item<bool>(), ErrorKind::invalid,
        "{}: {} holds values that are not finite", model.path().string(), tensor.name);
  return values;
}

at::Tensor change_of(const Checkpoint& base, const Checkpoint& tuned, const TensorRef& tensor) {
  return finite_values(tuned, *tuned.spec().find_tensor(tensor.name)) - finite_values(base, tensor);
}

}  // namespace lowrank
