#include "model/embeddings/dense_layer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tanh.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "formats/safetensors.h"
#include "model/stored/row_values.h"

namespace lowrank {
namespace {

/// A tensor of the file in f32.
at::Tensor read_tensor(const SafetensorsFile& file, const char* name) {
  const StoredTensor* stored = file.find(name);
  check(stored != nullptr, ErrorKind::corrupt, "{}: no {}", file.path().string(), name);
  const bool holds_floats =
      stored->dtype == DType::f32 || stored->dtype == DType::f16 || stored->dtype == DType::bf16;
  check(holds_floats && (stored->shape.size() == 1 || stored->shape.size() == 2), ErrorKind::corrupt,
        "{}: {} is no matrix or vector of floats", file.path().string(), name);
  at::Tensor values = at::empty(stored->shape, at::kFloat);
  const bool matrix = stored->shape.size() == 2;
  const int64_t rows = matrix ? stored->shape[0] : 1, columns = stored->shape.back();
  auto* next = values.mutable_data_ptr<float>();
  for (int64_t row = 0; row < rows; ++row, next += columns)
    copy_values(*stored, row, 0, columns, at::kFloat, next);
  return values;
}

}  // namespace

at::Tensor DenseLayer::operator()(const at::Tensor& x) const {
  at::Tensor y = at::mm(x, weight.to(x.device(), x.scalar_type()).t());
  if (bias.defined()) y = y + bias.to(x.device(), x.scalar_type());
  return tanh ? at::tanh(y) : y;
}

DenseLayer load_dense(const std::filesystem::path& path, int64_t in, std::optional<int64_t> out, bool bias,
                      bool tanh) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  DenseLayer layer{read_tensor(file, "linear.weight"), {}, tanh};
  const bool fits =
      layer.weight.dim() == 2 && layer.weight.size(1) == in && layer.out() == out.value_or(layer.out());
  check(fits, ErrorKind::corrupt, "{}: linear.weight has shape [{}] where [{}, {}] is expected",
        path.string(), fmt::join(layer.weight.sizes(), ", "), out.value_or(layer.weight.size(0)), in);
  if (!bias) return layer;
  layer.bias = read_tensor(file, "linear.bias");
  check(layer.bias.dim() == 1 && layer.bias.size(0) == layer.out(), ErrorKind::corrupt,
        "{}: linear.bias has shape [{}] where [{}] is expected", path.string(),
        fmt::join(layer.bias.sizes(), ", "), layer.out());
  return layer;
}

}  // namespace lowrank
