#include "peft/conversion/extraction.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "peft/conversion/tuned_form.h"
#include "peft/core/trained_tensors.h"
#include "peft/files/low_rank_adapter.h"

namespace lowrank {
namespace {

/// True for a head that is the embedding's matrix.
bool is_tied(const Checkpoint& model, const TensorRef& head) {
  return &model.source(head) != &head;
}

/// Sums over the difference of a tensor, by blocks of rows.
struct Sums {
  double difference = 0, base = 0, largest = 0;
};

Sums sums_of(const Checkpoint& base, const TensorRef& tensor, const Checkpoint& tuned,
             const TensorRef& other) {
  const int64_t columns = tensor.shape.size() == 2 ? tensor.shape[1] : 1;
  const int64_t block = std::max<int64_t>(1, (int64_t{1} << 22) / columns);
  Sums sums;
  for (int64_t begin = 0; begin < tensor.shape[0]; begin += block) {
    const int64_t end = std::min(begin + block, tensor.shape[0]);
    std::vector<int64_t> shape = tensor.shape;
    shape[0] = end - begin;
    at::Tensor before = at::empty(shape, at::kFloat), after = at::empty(shape, at::kFloat);
    base.read_rows(base.source(tensor), begin, end, before);
    tuned.read_rows(tuned.source(other), begin, end, after);
    check(at::isfinite(after).all().item<bool>() && at::isfinite(before).all().item<bool>(),
          ErrorKind::invalid, "{} of {} or of {} holds values that are not finite", tensor.name,
          base.path().string(), tuned.path().string());
    after.sub_(before);
    sums.difference += after.square().sum(at::kDouble).item<double>();
    sums.base += before.square().sum(at::kDouble).item<double>();
    sums.largest = std::max(sums.largest, double{after.abs().max().item<float>()});
  }
  return sums;
}

/// The work on two models.
class Extractor {
 public:
  Extractor(const Checkpoint& base, const Checkpoint& tuned, const ExtractionChoice& choice)
      : base_(base), tuned_(tuned), choice_(choice) {
    parts_.modules_to_save = with_head(base.spec(), choice.modules_to_save);
    parts_.bias = choice.bias;
    for (const TensorRef* tensor : tensors_to_save(base.spec(), parts_.modules_to_save))
      whole_.insert(tensor->name);
    std::vector<const Module*> linear;
    for (const Module& module : base.spec().modules) {
      if (module.is_linear()) linear.push_back(&module);
    }
    for (const TensorRef* tensor : biases_to_train(base.spec(), choice.bias, linear))
      whole_.insert(tensor->name);
    const auto [embedding, head] = tied_pair(base.spec());
    parts_.tied = head && is_tied(base, *head) && is_tied(tuned, other(*head)) &&
                  (choice.embeddings || whole_.contains(embedding->name));
  }

  void add(const TensorRef& tensor) {
    if (!is_stored(base_, tensor) && !is_stored(tuned_, other(tensor))) return;
    if (whole_.contains(tensor.name)) return;
    const Module* module = tensor.is_weight() ? base_.spec().find_module(tensor.module_name()) : nullptr;
    const bool adapts =
        module && (module->is_linear() || (choice_.embeddings && module->role == Role::embedding));
    adapts ? add_update(tensor, *module) : add_left(tensor);
  }

  Extraction finished() {
    check(!parts_.updates.empty(), ErrorKind::invalid,
          "no linear layer of {} differs from that of {}, so there is no update to extract{}",
          tuned_.path().string(), base_.path().string(),
          result_.left.empty() ? "" : fmt::format("; {} differs", result_.left.front().name));
    result_.adapter = make_low_rank_adapter(base_, parts_);
    const TrainedTensors& held = *result_.adapter.method->trained_beside();
    for (const std::string& name : held.names()) {
      const TensorRef& tensor = *base_.spec().find_tensor(name);
      std::optional<at::Tensor> value = held.value(tensor);
      value->copy_(finite_values(tuned_, other(tensor)));
      result_.whole.push_back(name);
    }
    return std::move(result_);
  }

 private:
  const TensorRef& other(const TensorRef& tensor) const { return *tuned_.spec().find_tensor(tensor.name); }

  void add_update(const TensorRef& tensor, const Module& module) {
    const at::Tensor change = change_of(base_, tuned_, tensor);
    if (!change.any().item<bool>()) {
      ++result_.same;
      return;
    }
    const LowRankFit fit = fit_low_rank(as_update_matrix(change, module), choice_.rank);
    parts_.updates.push_back(update_from(fit, module));
    result_.modules.push_back({module.name, fit.a.size(0), false, fit.energy, fit.lost});
  }

  void add_left(const TensorRef& tensor) {
    const Sums sums = sums_of(base_, tensor, tuned_, other(tensor));
    if (sums.largest == 0) return;
    result_.left.push_back({tensor.name, std::sqrt(sums.difference),
                            sums.base > 0 ? std::sqrt(sums.difference / sums.base) : 1, sums.largest});
  }

  const Checkpoint& base_;
  const Checkpoint& tuned_;
  const ExtractionChoice& choice_;
  LowRankParts parts_;
  std::set<std::string> whole_;
  Extraction result_;
};

}  // namespace

Extraction extract_low_rank(const Checkpoint& base, const Checkpoint& tuned, const ExtractionChoice& choice,
                            const ConversionProgress& progress) {
  const at::NoGradGuard no_grad;
  check_tuned_form(base, tuned);
  Extractor extractor(base, tuned, choice);
  int64_t done = 0;
  for (const TensorRef& tensor : base.spec().tensors) {
    throw_if_interrupted();
    extractor.add(tensor);
    base.forget_pages();
    tuned.forget_pages();
    if (progress) progress(++done, std::ssize(base.spec().tensors));
  }
  Extraction result = extractor.finished();
  base.check_unchanged();
  tuned.check_unchanged();
  return result;
}

}  // namespace lowrank
