#include "model/stored/bitsandbytes.h"

#include <array>
#include <optional>

#include <ATen/ops/from_blob.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/one_line.h"
#include "kernels/products/nf4.h"

namespace lowrank {
namespace {

constexpr std::string_view state_suffix = ".quant_state.bitsandbytes__nf4";

at::Tensor bytes_of(const StoredTensor& tensor) {
  return at::from_blob(const_cast<std::byte*>(tensor.bytes.data()),
                       {static_cast<int64_t>(tensor.bytes.size())}, at::kByte);
}

/// The parts of one weight.
class Parts {
 public:
  Parts(const SafetensorsIndex& files, std::string weight, const std::string& where)
      : files_(files), weight_(std::move(weight)), where_(where) {}

  const StoredTensor& need(const std::string& part, DType type, int64_t values) const {
    const StoredTensor* tensor = files_.find(weight_ + part);
    const auto bytes = tensor ? static_cast<int64_t>(tensor->bytes.size()) : 0;
    check(tensor && tensor->dtype == type && bytes == values * (type == DType::f32 ? 4 : 1),
          ErrorKind::corrupt, "{}: {}{} is missing, or has another type or size than {} values of {}", where_,
          weight_, part, values, info_of(type).name);
    return *tensor;
  }
  at::Tensor floats(const std::string& part, int64_t values) const {
    const StoredTensor& tensor = need(part, DType::f32, values);
    return at::from_blob(const_cast<std::byte*>(tensor.bytes.data()), {values}, at::kFloat).clone();
  }
  nlohmann::json state() const {
    const StoredTensor& tensor = *files_.find(weight_ + std::string(state_suffix));
    const auto* text = reinterpret_cast<const char*>(tensor.bytes.data());
    nlohmann::json state = nlohmann::json::parse(text, text + tensor.bytes.size(), nullptr, false);
    check(state.is_object(), ErrorKind::corrupt, "{}: {}{} is not a JSON object", where_, weight_,
          state_suffix);
    return state;
  }

  StoredNf4 read() const {
    const nlohmann::json described = state();
    StoredNf4 out;
    try {
      for (const nlohmann::json& extent : described.at("shape"))
        out.shape.push_back(json_integer(extent, "shape", where_ + ": " + weight_));
      out.block = json_integer(described.at("blocksize"), "blocksize", where_ + ": " + weight_);
      const std::string type = described.value("quant_type", "nf4");
      check(type == "nf4", ErrorKind::unsupported, "{}: {} has the quant_type {}", where_, weight_,
            in_quotes(type));
      const std::optional<int64_t> count = element_count(out.shape);
      check(out.shape.size() == 2 && count && *count > 0 && out.block > 0, ErrorKind::corrupt,
            "{}: {}{} has a shape or blocksize that cannot be", where_, weight_, state_suffix);
      out.packed = bytes_of(need("", DType::u8, (*count + 1) / 2));
      const int64_t scales = (*count + out.block - 1) / out.block;
      if (!described.contains("nested_offset")) {
        out.scales = floats(".absmax", scales);
        return out;
      }
      const int64_t nested_block = json_integer(described.value("nested_blocksize", nlohmann::json(256)),
                                                "nested_blocksize", where_ + ": " + weight_);
      check(nested_block == 256, ErrorKind::unsupported, "{}: {} has a nested_blocksize of {}", where_,
            weight_, nested_block);
      const Nf4 nested{out.packed, bytes_of(need(".absmax", DType::u8, scales)),
                       floats(".nested_absmax", (scales + 255) / 256),
                       described["nested_offset"].get<double>()};
      out.scales = nf4_scales(nested, floats(".nested_quant_map", 256), 0, scales);
    } catch (const nlohmann::json::exception& error) {
      fail(ErrorKind::corrupt, "{}: {}{} is not laid out as bitsandbytes does ({})", where_, weight_,
           state_suffix, error.what());
    }
    return out;
  }

 private:
  const SafetensorsIndex& files_;
  std::string weight_;
  const std::string& where_;
};

}  // namespace

std::map<std::string, StoredNf4, std::less<>> nf4_tensors(const SafetensorsIndex& files,
                                                          const std::string& where) {
  std::map<std::string, StoredNf4, std::less<>> found;
  for (const StoredTensor& tensor : files.tensors()) {
    const bool other = tensor.name.ends_with("bitsandbytes__fp4") || tensor.name.ends_with(".SCB");
    check(!other, ErrorKind::unsupported,
          "{}: {} was quantised by bitsandbytes to fp4 or int8; only nf4 is read", where,
          tensor.name.substr(0, tensor.name.find(".weight")));
    if (!tensor.name.ends_with(state_suffix)) continue;
    const std::string weight = tensor.name.substr(0, tensor.name.size() - state_suffix.size());
    found.emplace(weight, Parts(files, weight, where).read());
  }
  return found;
}

bool is_nf4_part(std::string_view name) {
  constexpr std::array<std::string_view, 5> parts = {".weight.absmax", ".weight.quant_map",
                                                     ".weight.nested_absmax", ".weight.nested_quant_map",
                                                     ".weight.quant_state.bitsandbytes__nf4"};
  for (const std::string_view part : parts) {
    if (name.ends_with(part)) return true;
  }
  return false;
}

}  // namespace lowrank
