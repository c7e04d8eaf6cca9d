#include "peft/files/encoder_state.h"

#include <algorithm>

#include <ATen/ops/allclose.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "formats/block_formats.h"

namespace lowrank {
namespace {

constexpr const char* state_name = "encoder_state.safetensors";

}  // namespace

std::optional<StoredTensor> read_encoder_state(const std::filesystem::path& folder, Method& method,
                                               AdapterContents& contents) {
  const std::string encoded(method.form().encoded_tensor());
  if (encoded.empty()) return std::nullopt;
  if (!std::filesystem::exists(folder / state_name)) {
    method.form().drop_encoder();
    return std::nullopt;
  }
  const StoredTensor* found = contents.find(encoded);
  check(found != nullptr, ErrorKind::invalid, "{}: no {}", contents.tensors_name, encoded);
  const StoredTensor stored = *found;
  contents.tensors.erase(encoded);
  contents.add(folder / state_name);
  contents.tensors_name += fmt::format(" and {}", state_name);
  return stored;
}

void check_encoded(const StoredTensor& stored, const Adapter& adapter, const std::string& where) {
  constexpr double relative = 1e-3, absolute = 1e-4;
  const std::vector<FileTensor> tensors = file_tensors(adapter);
  const auto given = std::ranges::find(tensors, stored.name, &FileTensor::name);
  const bool fits = can_expand(stored.dtype) && given->value.sizes().vec() == stored.shape;
  at::Tensor values = at::empty(stored.shape, at::kFloat);
  if (fits)
    expand(stored.dtype, stored.bytes,
           {values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())});
  if (fits && at::allclose(values, given->value.to(at::kFloat), relative, absolute)) return;
  throw Error(ErrorKind::invalid, fmt::format("{}: the encoder does not give {}", where, stored.name),
              fmt::format("remove {} to use {} alone", state_name, stored.name));
}

void write_encoder_state(const std::filesystem::path& folder, const Adapter& adapter) {
  if (adapter.method->form().encoded_tensor().empty()) return;
  const std::vector<FileTensor> written = file_tensors(adapter);
  std::vector<FileTensor> lost;
  for (const ParameterSpec& spec : adapter.plan.parameters) {
    if (std::ranges::find(written, spec.name, &FileTensor::name) == written.end())
      lost.push_back({spec.name, adapter.parameters->at(spec.name).detach()});
  }
  write_file_tensors(folder / state_name, lost);
}

}  // namespace lowrank
