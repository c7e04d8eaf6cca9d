#include "kernels/core/op_profile.h"

#include <chrono>
#include <utility>

#include <ATen/ops/empty_strided.h>
#include <ATen/record_function.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "kernels/core/node.h"

namespace lowrank {
namespace {

using Clock = std::chrono::steady_clock;

/// Which inputs of an operator are the two matrices, and whether the second is packed.
struct ProductForm {
  size_t left = 0, right = 1;
  bool packed = false;
};

std::optional<ProductForm> product_form(std::string_view name) {
  if (name == "mkldnn::_linear_pointwise" || name == "bf16_product" || name == "f32_product")
    return ProductForm{0, 1, true};
  if (name == "aten::mm") return ProductForm{0, 1, false};
  if (name == "aten::addmm" || name == "aten::addmm_") return ProductForm{1, 2, false};
  return std::nullopt;
}

double flops_of(const at::Tensor& left, const at::Tensor& right, bool packed) {
  return 2.0 * static_cast<double>(left.numel()) * static_cast<double>(right.size(packed ? 0 : 1));
}

}  // namespace

struct ProfileScope::Observer {
  /// The profile of this thread, and the innermost running operation.
  static thread_local OpProfile* profile;
  struct Running;
  static thread_local Running* innermost;

  struct Running : at::ObserverContext {
    Clock::time_point started = Clock::now();
    Running* outer = std::exchange(innermost, nullptr);
    double inner_seconds = 0;
    double flops = 0;
    bool product = false;
  };

  static std::unique_ptr<at::ObserverContext> start(const at::RecordFunction& function) {
    if (!profile) return nullptr;
    auto running = std::make_unique<Running>();
    const std::optional<ProductForm> form = product_form(function.name());
    const bool inside = running->outer && running->outer->product;
    running->product = form || inside;
    if (form && !inside) {
      const auto inputs = function.inputs();
      const at::Tensor left = inputs[form->left].toTensor(), right = inputs[form->right].toTensor();
      running->flops = flops_of(left, right, form->packed);
      if (profile->keep_products_) keep(left, right, *form);
      running->started = Clock::now();
    }
    innermost = running.get();
    return running;
  }

  static void end(const at::RecordFunction& function, at::ObserverContext* context) {
    if (!profile || !context) return;
    auto* running = static_cast<Running*>(context);
    const double seconds = std::chrono::duration<double>(Clock::now() - running->started).count();
    OpTime& time = profile->times_[function.name()];
    ++time.calls;
    time.seconds += seconds - running->inner_seconds;
    time.flops += running->flops;
    innermost = running->outer;
    if (innermost) innermost->inner_seconds += seconds;
  }

  static void keep(const at::Tensor& left, const at::Tensor& right, const ProductForm& form) {
    // A packed weight is kept itself: where it lies in memory is part of a product's cost.
    profile->products_.push_back({like(left), form.packed ? right.detach() : like(right), form.packed, {}});
  }

  /// One tensor for all operands of the same form. The values do not affect the time; zeros would.
  static at::Tensor like(const at::Tensor& tensor) {
    const std::string key = fmt::format("{} {} {}", fmt::join(tensor.sizes(), ","),
                                        fmt::join(tensor.strides(), ","), toString(tensor.scalar_type()));
    at::Tensor& kept = profile->operands_[key];
    if (!kept.defined())
      kept = at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options()).fill_(0.01);
    return kept;
  }
};

thread_local OpProfile* ProfileScope::Observer::profile = nullptr;
thread_local ProfileScope::Observer::Running* ProfileScope::Observer::innermost = nullptr;

ProfileScope::ProfileScope(OpProfile& profile) {
  check(!Observer::profile, ErrorKind::invalid, "a profile of this thread runs already");
  Observer::profile = &profile;
  handle_ = at::addThreadLocalCallback(
      at::RecordFunctionCallback(Observer::start, Observer::end)
          .needsInputs(true)
          .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
}

ProfileScope::~ProfileScope() {
  at::removeCallback(handle_);
  Observer::profile = nullptr;
  Observer::innermost = nullptr;
}

bool ProfileScope::active() {
  return Observer::profile != nullptr;
}

void ProfileScope::add_product(double flops, std::function<void()> again) {
  if (Observer::innermost) Observer::innermost->flops += flops;
  if (Observer::profile->keep_products_)
    Observer::profile->products_.push_back({{}, {}, false, std::move(again)});
}

void OpProfile::clear() {
  times_.clear();
  products_.clear();
}

}  // namespace lowrank
