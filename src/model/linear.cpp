#include "model/linear.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "formats/block_formats.h"
#include "kernels/products/device_matrix.h"
#include "kernels/products/low_rank_linear.h"
#include "kernels/products/nf4.h"
#include "kernels/tasks/block_tasks.h"
#include "model/checkpoint.h"
#include "model/model.h"
#include "model/stored/gguf_factors.h"
#include "model/tensor_form.h"

namespace lowrank {
namespace {

at::ScalarType exact_type(const LoadOptions& options) {
  return options.compute == at::kDouble ? at::kDouble : at::kFloat;
}

Linear::Part load_part(const Checkpoint& checkpoint, const LoadOptions& options, const std::string& name) {
  const ModelSpec& spec = checkpoint.spec();
  Linear::Part part;
  part.module = spec.find_module(name);
  part.weight = spec.find_tensor(name + ".weight");
  check(part.module && part.weight, ErrorKind::invalid, "the family {} has no module {}", spec.family, name);
  part.bias = spec.find_tensor(name + ".bias");
  part.frozen_weight = options.use_of(*part.weight) == TensorUse::frozen;
  part.frozen_bias = !part.bias || options.use_of(*part.bias) == TensorUse::frozen;
  if (part.bias && part.frozen_bias)
    part.bias_value = checkpoint.read(*part.bias, options.compute, options.device);
  return part;
}

/// The source of one part's rows: the file, what the options give instead, or a copy that was rounded to NF4
/// and is kept in it.
RowSource rows_of(const Checkpoint& checkpoint, const LoadOptions& options, const Linear::Part& part) {
  const TensorRef& tensor = *part.weight;
  if (!options.nf4) {
    if (RowSource elsewhere = options.rows_elsewhere ? options.rows_elsewhere(tensor) : nullptr)
      return elsewhere;
    return
        [&](int64_t begin, int64_t end, at::Tensor& out) { checkpoint.read_rows(tensor, begin, end, out); };
  }
  return [kept = quantise_nf4(checkpoint.read(tensor, at::kFloat)), code = dynamic_map(),
          columns = part.module->in](int64_t begin, int64_t, at::Tensor& out) {
    expand_nf4(kept, code, begin * columns, out);
  };
}

/// The rows of several matrices as if they were stacked.
RowSource stacked_rows(const Checkpoint& checkpoint, const LoadOptions& options,
                       std::span<const Linear::Part> parts) {
  std::vector<std::pair<RowSource, int64_t>> sources;
  sources.reserve(parts.size());
  for (const Linear::Part& part : parts)
    sources.emplace_back(rows_of(checkpoint, options, part), part.module->out);
  return [sources = std::move(sources)](int64_t begin, int64_t end, at::Tensor& out) {
    int64_t first = 0;
    for (const auto& [source, rows] : sources) {
      const int64_t from = std::clamp(begin - first, int64_t{0}, rows);
      const int64_t to = std::clamp(end - first, int64_t{0}, rows);
      if (from < to) {
        at::Tensor slice = out.narrow(0, first + from - begin, to - from);
        source(from, to, slice);
      }
      first += rows;
    }
  };
}

/// A tensor's rows in a GGUF file, in blocks or not; nothing if it is stored otherwise, or with columns in
/// another order or values that are changed when they are read.
std::optional<BlockRows> block_rows(const Checkpoint& checkpoint, const TensorRef& tensor) {
  const GgufFile* file = checkpoint.gguf();
  const StoredTensor* stored = file ? checkpoint.find(tensor) : nullptr;
  if (!stored || tensor.shape.size() != 2 || !can_expand(stored->dtype)) return std::nullopt;
  const bool changed = tensor.gguf_offset != 0 || tensor.gguf_negative_exp || moves_columns(tensor) ||
                       !factors_beside(*file, stored->name).empty();
  const int64_t rows = tensor.shape[0];
  const std::optional<int64_t> row_bytes = byte_count(stored->dtype, tensor.shape[1]);
  if (changed || !row_bytes || *row_bytes * rows != std::ssize(stored->bytes)) return std::nullopt;
  BlockRows blocks{stored->dtype, stored->bytes.data(), rows, *row_bytes};
  if (!moves_rows(tensor)) return blocks;
  blocks.places.resize(rows);
  for (int64_t row = 0; row < rows; ++row)
    blocks.places[gguf_row(row, rows, tensor)] = static_cast<int32_t>(row);
  return blocks;
}

/// Whether the files store blocks of all of them.
bool stores_blocks(const Checkpoint& checkpoint, const std::vector<const TensorRef*>& tensors) {
  return std::ranges::all_of(tensors, [&](const TensorRef* tensor) {
    const StoredTensor* stored = checkpoint.find(*tensor);
    return stored && (info_of(stored->dtype).block > 1 || checkpoint.nf4(*tensor));
  });
}

/// Whether frozen weights lie on the device as they are stored.
bool keeps_blocks_on_device(const LoadOptions& options) {
  const bool known = options.compute == at::kFloat || options.compute == at::kBFloat16;
  return known && options.base_memory() == BaseMemory::small && DeviceMatrix::is_possible(options.device);
}

/// A tensor's rows in a format that a device expands.
std::optional<BlockRows> device_rows(const Checkpoint& checkpoint, const TensorRef& tensor) {
  std::optional<BlockRows> rows = block_rows(checkpoint, tensor);
  return rows && has_block_kernel(rows->dtype) ? rows : std::nullopt;
}

/// The parts as the file stores them, on a device; null if `options` do not ask for it, or the file stores
/// none in blocks that the device reads. A part in another form lies there in the type of the products.
std::shared_ptr<const PreparedWeight> weight_on_device(const Checkpoint& checkpoint,
                                                       const LoadOptions& options,
                                                       std::span<const Linear::Part> parts) {
  if (!keeps_blocks_on_device(options)) return nullptr;
  const auto has_blocks = [&](const Linear::Part& part) {
    return device_rows(checkpoint, *part.weight).has_value();
  };
  if (!options.nf4 && std::ranges::none_of(parts, has_blocks)) return nullptr;
  DeviceMatrix matrix(parts.front().module->in, options.device);
  for (const Linear::Part& part : parts) {
    if (options.nf4) {
      matrix.add(quantise_nf4(checkpoint.read(*part.weight, at::kFloat)), part.module->out);
    } else if (const std::optional<BlockRows> rows = device_rows(checkpoint, *part.weight)) {
      matrix.add(*rows);
    } else {
      matrix.add(checkpoint.read(*part.weight, options.compute));
    }
  }
  return std::make_shared<const PreparedWeight>(
      PreparedWeight::on_device(std::move(matrix), options.compute));
}

std::shared_ptr<const PreparedWeight> pack_run(const Checkpoint& checkpoint, const LoadOptions& options,
                                               std::span<const Linear::Part> parts) {
  int64_t rows = 0;
  for (const Linear::Part& part : parts) rows += part.module->out;
  std::vector<const TensorRef*> tensors;
  for (const Linear::Part& part : parts) tensors.push_back(part.weight);
  const bool known =
      options.device.is_cpu() && (options.compute == at::kFloat || options.compute == at::kBFloat16);
  const RowSource source = stacked_rows(checkpoint, options, parts);
  const int64_t columns = parts.front().module->in;
  if (auto blocks = weight_in_blocks(checkpoint, options, tensors, source)) return blocks;
  if (auto blocks = weight_on_device(checkpoint, options, parts)) return blocks;
  const bool in_file = options.base_memory() == BaseMemory::small ||
                       (options.base_memory() == BaseMemory::blocks && stores_blocks(checkpoint, tensors));
  if (in_file && known) {
    return std::make_shared<const PreparedWeight>(
        PreparedWeight::expanded(source, rows, columns, options.compute));
  }
  at::Tensor matrix = at::empty({rows, columns}, options.compute);
  source(0, rows, matrix);
  matrix = matrix.to(options.device);
  return std::make_shared<const PreparedWeight>(
      PreparedWeight::pack(matrix, options.compute, options.base_memory(), options.training, source));
}

at::Tensor part_bias(const Linear::Part& part, const Context& context, const Hooks& hooks) {
  if (!part.bias) return {};
  return part.frozen_bias ? part.bias_value : hooks.weight(context, *part.bias);
}

/// The biases of a run as one vector; none if no part has one.
std::optional<at::Tensor> run_bias(std::span<const Linear::Part> parts, const Context& context,
                                   const Hooks& hooks, const at::TensorOptions& form) {
  if (std::ranges::none_of(parts, [](const Linear::Part& part) { return part.bias != nullptr; }))
    return std::nullopt;
  std::vector<at::Tensor> pieces;
  for (const Linear::Part& part : parts) {
    const at::Tensor bias = part_bias(part, context, hooks);
    pieces.push_back(bias.defined() ? bias.to(form.dtype()) : at::zeros({part.module->out}, form));
  }
  return pieces.size() == 1 ? pieces.front() : at::cat(pieces);
}

at::Tensor apply_run(const Linear& linear, const Linear::Run& run, const Place& place, const Hooks& hooks,
                     const at::Tensor& x) {
  const std::span<const Linear::Part> parts(linear.parts.data() + run.begin, run.end - run.begin);
  const std::optional<at::Tensor> bias = run_bias(parts, place.context, hooks, x.options());
  std::vector<Patch> patches;
  int64_t row = 0;
  for (const Linear::Part& part : parts) {
    std::vector<Patch> own = hooks.patches(place, *part.module);
    for (Patch& patch : own) {
      patch.begin += row;
      patch.end += row;
    }
    patches.insert(patches.end(), std::make_move_iterator(own.begin()), std::make_move_iterator(own.end()));
    row += part.module->out;
  }
  if (run.weight) return low_rank_linear(x, run.weight, bias, std::move(patches), place.context.stacks);
  return dense_linear(x, hooks.weight(place.context, *parts.front().weight), bias, patches);
}

}  // namespace

int64_t Linear::out() const {
  int64_t rows = 0;
  for (const Part& part : parts) rows += part.module->out;
  return rows;
}

Linear load_linear(const Checkpoint& checkpoint, const LoadOptions& options,
                   const std::vector<std::string>& modules) {
  throw_if_interrupted();
  Linear linear;
  for (const std::string& name : modules) linear.parts.push_back(load_part(checkpoint, options, name));
  for (size_t begin = 0; begin < linear.parts.size();) {
    size_t end = begin + 1;
    if (linear.parts[begin].frozen_weight) {
      while (end < linear.parts.size() && linear.parts[end].frozen_weight) ++end;
    }
    Linear::Run run{begin, end, nullptr};
    if (linear.parts[begin].frozen_weight) {
      run.weight = pack_run(checkpoint, options, std::span(linear.parts).subspan(begin, end - begin));
    }
    linear.runs.push_back(run);
    begin = end;
  }
  return linear;
}

std::shared_ptr<const PreparedWeight> weight_in_blocks(const Checkpoint& checkpoint,
                                                       const LoadOptions& options,
                                                       const std::vector<const TensorRef*>& tensors,
                                                       const RowSource& source) {
  const bool rounds = options.base_memory() == BaseMemory::blocks;
  const bool exact = options.base_memory() == BaseMemory::small && options.compute == at::kFloat;
  const bool known = options.device.is_cpu() && options.compute != at::kDouble;
  if (options.training || options.nf4 || !known || !(rounds || exact)) return nullptr;
  // Others are faster as copies; beside blocks they are multiplied exactly.
  const auto is_blocks = [&](const TensorRef* tensor) {
    const StoredTensor* stored = checkpoint.find(*tensor);
    return stored && info_of(stored->dtype).block > 1;
  };
  if (std::ranges::none_of(tensors, is_blocks)) return nullptr;
  BlockMatrix matrix;
  for (const TensorRef* tensor : tensors) {
    std::optional<BlockRows> rows = block_rows(checkpoint, *tensor);
    if (!rows) return nullptr;
    matrix.out += rows->rows;
    matrix.in = tensor->shape[1];
    matrix.parts.push_back(std::move(*rows));
  }
  return std::make_shared<const PreparedWeight>(PreparedWeight::in_blocks(
      std::move(matrix), rounds ? BlockInput::int8 : BlockInput::exact, source, options.compute));
}

int64_t device_bytes(const Checkpoint& checkpoint, const LoadOptions& options, const TensorRef& tensor) {
  const int64_t values = element_count(tensor.shape).value_or(0);
  if (keeps_blocks_on_device(options)) {
    constexpr int64_t values_per_scale = 64;
    if (options.nf4) return values / 2 + values / values_per_scale;
    if (const auto rows = device_rows(checkpoint, tensor)) return rows->rows * rows->row_bytes;
  }
  return values * static_cast<int64_t>(c10::elementSize(options.compute));
}

at::Tensor apply(const Linear& linear, const Place& place, const Hooks& hooks, const at::Tensor& x) {
  if (linear.runs.size() == 1) return apply_run(linear, linear.runs.front(), place, hooks, x);
  std::vector<at::Tensor> columns;
  for (const Linear::Run& run : linear.runs) columns.push_back(apply_run(linear, run, place, hooks, x));
  return at::cat(columns, 1);
}

Norm load_norm(const Checkpoint& checkpoint, const LoadOptions& options, const std::string& weight,
               const std::string& bias, double epsilon, double offset) {
  const ModelSpec& spec = checkpoint.spec();
  Norm norm;
  norm.epsilon = epsilon;
  norm.offset = offset;
  norm.weight = spec.find_tensor(weight);
  check(norm.weight != nullptr, ErrorKind::invalid, "the family {} has no tensor {}", spec.family, weight);
  norm.frozen = options.use_of(*norm.weight) == TensorUse::frozen;
  if (norm.frozen)
    norm.weight_value = checkpoint.read(*norm.weight, exact_type(options), options.device).add_(offset);
  if (bias.empty()) return norm;
  norm.bias = spec.find_tensor(bias);
  check(norm.bias != nullptr, ErrorKind::invalid, "the family {} has no tensor {}", spec.family, bias);
  if (options.use_of(*norm.bias) == TensorUse::frozen)
    norm.bias_value = checkpoint.read(*norm.bias, exact_type(options), options.device);
  return norm;
}

at::Tensor weight_of(const Norm& norm, const Context& context, const Hooks& hooks) {
  if (norm.frozen) return norm.weight_value;
  const at::Tensor weight = hooks.weight(context, *norm.weight);
  return norm.offset == 0 ? weight : weight + norm.offset;
}

at::Tensor bias_of(const Norm& norm, const Context& context, const Hooks& hooks) {
  if (!norm.bias || norm.bias_value.defined()) return norm.bias_value;
  return hooks.weight(context, *norm.bias);
}

}  // namespace lowrank
