#include "peft/merge/merge_rounding.h"

#include "base/error.h"
#include "base/finite.h"
#include "formats/block_formats.h"
#include "formats/quantise.h"

namespace lowrank {
namespace {

/// Number of values expanded at a time: whole blocks of every format.
constexpr int64_t piece = 1 << 16;

std::span<const float> values_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

/// Calls `take` with the index of the first value and the values of `bytes`, f32, piece by piece.
template <typename Take>
void each_piece(DType type, std::span<const std::byte> bytes, int64_t count, Take take) {
  std::vector<float> values(std::min(piece, count));
  for (int64_t begin = 0; begin < count; begin += piece) {
    const int64_t length = std::min(piece, count - begin);
    const std::span<float> part(values.data(), static_cast<size_t>(length));
    expand(type, bytes.subspan(*byte_count(type, begin), *byte_count(type, length)), part);
    take(begin, part);
  }
}

}  // namespace

void KeptUpdate::add(std::span<const float> base, std::span<const float> merged,
                     std::span<const float> written) {
  double kept = 0;
  double whole = 0;
  double rounding = 0;
  for (size_t i = 0; i < base.size(); ++i) {
    const double update = double{merged[i]} - base[i];
    kept += (double{written[i]} - base[i]) * update;
    whole += update * update;
    const double rest = double{written[i]} - merged[i];
    rounding += rest * rest;
  }
  kept_ += kept;
  whole_ += whole;
  rounding_ += rounding;
}

std::vector<std::byte> rounded(const std::string& name, DType type, const at::Tensor& values) {
  const std::optional<int64_t> size = byte_count(type, values.numel());
  check(size.has_value(), ErrorKind::unsupported, "{}: {} values do not fill blocks of {}", name,
        values.numel(), info_of(type).name);
  std::vector<std::byte> bytes(*size);
  try {
    quantise(type, values_of(values), bytes);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("merging {}: {}", name, error.what()), error.hint());
  }
  return bytes;
}

void add_kept(KeptUpdate& kept, const ChangedTensor& tensor, DType type, std::span<const std::byte> bytes) {
  const std::span<const float> base = values_of(tensor.base);
  const std::span<const float> merged = values_of(tensor.merged);
  each_piece(type, bytes, tensor.merged.numel(), [&](int64_t begin, std::span<const float> written) {
    kept.add(base.subspan(begin, written.size()), merged.subspan(begin, written.size()), written);
  });
}

void check_finite(const StoredTensor& stored) {
  if (!can_expand(stored.dtype)) return;
  int64_t count = 1;
  for (const int64_t size : stored.shape) count *= size;
  each_piece(stored.dtype, stored.bytes, count, [&](int64_t begin, std::span<const float> values) {
    const std::optional<size_t> bad = first_not_finite(values);
    if (!bad) return;
    fail(ErrorKind::invalid, "the base's {} holds {} at value {}; nothing is merged into a broken model",
         stored.name, values[*bad], begin + static_cast<int64_t>(*bad));
  });
}

}  // namespace lowrank
