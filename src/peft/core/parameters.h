#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// A trained tensor that a method requests.
struct ParameterSpec {
  std::string name;  ///< key in the adapter file
  std::vector<int64_t> shape;
  double learning_rate_scale = 1;
  bool weight_decay = true;
  bool frozen = false;   ///< in the adapter's file, but never trained
  bool integer = false;  ///< frozen int32 values, also int32 in the file
};

/// What a ParameterSet's values are before anything is written to them.
enum class InitialValues { zero, unset };

/// Number of values in a parameter.
int64_t count_of(const ParameterSpec& spec);

/// All trained values of a run in one flat buffer and their gradients in another; each parameter is a view of
/// both. Gradients exist from the first `zero_gradients` on, so that an adapter that is not trained has none;
/// later calls zero them but never release them, so that the views remain valid. Frozen parameters are stored
/// separately.
class ParameterSet {
 public:
  /// `type`: f32; f64 for finite differences. Errors: invalid on duplicate names.
  explicit ParameterSet(std::vector<ParameterSpec> specs, at::ScalarType type = at::kFloat,
                        InitialValues initial = InitialValues::zero);

  /// Tensors of these shapes without values (on libtorch's meta device), for what follows from shapes alone;
  /// there are no flat buffers.
  static ParameterSet stand_ins(const std::vector<ParameterSpec>& specs);

  /// The same values on a device, without gradients.
  ParameterSet on(at::Device device) const;

  /// The parameters whose names begin with `prefix`, without it: the same tensors, not copies. They must be
  /// adjacent in the flat buffers.
  ParameterSet part(std::string_view prefix) const;

  /// The trained ones, in the order of the flat buffers.
  std::span<const ParameterSpec> specs() const { return specs_; }
  int64_t count() const { return values_.numel(); }

  /// The parameter, a leaf that requires a gradient unless it is frozen. Errors: invalid for unknown names.
  const at::Tensor& at(std::string_view name) const;
  /// The range of a parameter in the flat buffers.
  int64_t begin(size_t index) const { return begins_[index]; }
  int64_t end(size_t index) const { return begins_[index + 1]; }

  /// Type and device of the values.
  at::TensorOptions options() const { return values_.options(); }
  at::Tensor& values() { return values_; }
  const at::Tensor& values() const { return values_; }
  /// Undefined before `zero_gradients`.
  at::Tensor& gradients() { return gradients_; }
  /// Called before each step, including the first.
  void zero_gradients();

 private:
  ParameterSet() = default;
  /// Makes the trained parameters views of `values_`.
  void make_views();

  std::vector<ParameterSpec> specs_;
  std::vector<int64_t> begins_;
  at::Tensor values_, gradients_;                        ///< [count]
  std::unordered_map<std::string, at::Tensor> by_name_;  ///< including frozen ones
};

}  // namespace lowrank
