#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lowrank::test {

/// A safetensors file assembled by hand: header length (the true one, or any other), header, data bytes.
inline std::string safetensors_bytes(std::string_view header, std::string_view data, uint64_t length) {
  return std::string(reinterpret_cast<const char*>(&length), sizeof length).append(header).append(data);
}
inline std::string safetensors_bytes(std::string_view header, std::string_view data = {}) {
  return safetensors_bytes(header, data, header.size());
}

}  // namespace lowrank::test
