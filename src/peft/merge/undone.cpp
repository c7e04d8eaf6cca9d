#include "peft/merge/undone.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lowrank {
namespace {

/// The grid of a floating type: values of binary exponent e lie 2^(e - bits) apart, below `least` as there.
struct Grid {
  int bits, least;

  double step_at(float value) const {
    const int exponent = value == 0 ? least : std::max(std::ilogb(value), least);
    return std::ldexp(1.0, exponent - bits);
  }
};

std::optional<Grid> grid_of(DType type) {
  if (type == DType::f32) return Grid{23, -126};
  if (type == DType::bf16) return Grid{7, -126};
  if (type == DType::f16) return Grid{10, -14};
  return std::nullopt;
}

void count(const at::Tensor& merged, const at::Tensor& left, const StoredTensor* stored,
           UndoneRounding& rounding) {
  const std::optional<Grid> grid = stored ? grid_of(stored->dtype) : std::nullopt;
  if (!grid) {
    rounding.others += merged.numel();
    return;
  }
  const at::Tensor before = merged.contiguous(), after = left.contiguous();
  const float* m = before.const_data_ptr<float>();
  const float* w = after.const_data_ptr<float>();
  rounding.values += merged.numel();
  for (int64_t i = 0; i < merged.numel(); ++i) {
    const double step = grid->step_at(m[i]), own = grid->step_at(w[i]);
    rounding.coarser += step > own;
    rounding.largest = std::max(rounding.largest, (step + own) / 2);
  }
}

/// A method on a merged model that leaves the base.
class Inverse final : public Method {
 public:
  Inverse(std::unique_ptr<Method> method, std::shared_ptr<const Checkpoint> merged,
          std::shared_ptr<UndoneRounding> rounding)
      : method_(std::move(method)), model_(std::move(merged)), rounding_(std::move(rounding)) {}

  std::vector<Field> fields() override { return method_->fields(); }
  TrainPlan plan(const ModelSpec& spec) override { return method_->plan(spec); }
  void bind(const ParameterSet& parameters) override { method_->bind(parameters); }
  void initialise(const Checkpoint& base, uint64_t seed) override { method_->initialise(base, seed); }
  AdapterForm& form() override { return method_->form(); }
  const AdapterForm& form() const override { return std::as_const(*method_).form(); }

  bool merges(const TensorRef& tensor) const override { return method_->merges(tensor); }
  std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& value) const override {
    std::optional<at::Tensor> left = method_->unmerged(tensor, value);
    check(left.has_value(), ErrorKind::unsupported, "this adapter cannot be taken out of {} again: {}",
          tensor.name, method_->why_not_unmerged());
    *left = left->to(at::kFloat).contiguous();
    count(value, *left, model_->find(model_->source(tensor)), *rounding_);
    return left;
  }
  std::string why_not_merged() const override { return method_->why_not_merged(); }
  bool keeps_tied_head() const override { return method_->keeps_tied_head(); }

 private:
  std::unique_ptr<Method> method_;
  std::shared_ptr<const Checkpoint> model_;
  std::shared_ptr<UndoneRounding> rounding_;
};

}  // namespace

Adapter inverse_of(Adapter adapter, std::shared_ptr<const Checkpoint> merged,
                   std::shared_ptr<UndoneRounding> rounding) {
  adapter.method =
      std::make_unique<Inverse>(std::move(adapter.method), std::move(merged), std::move(rounding));
  return adapter;
}

}  // namespace lowrank
