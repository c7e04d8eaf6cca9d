#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "formats/tensor_file.h"

namespace lowrank {

/// Writes a safetensors file tensor by tensor, so that a model larger than the memory passes through: all
/// names, types and shapes first, then each tensor's bytes in the order declared. The file appears when it is
/// complete.
class SafetensorsWriter {
 public:
  /// `tensors`: their `bytes` are not looked at. Errors: invalid on duplicate names or shapes that overflow;
  /// io.
  SafetensorsWriter(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                    const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

  /// The next bytes. A tensor may come in pieces.
  void append(std::span<const std::byte> bytes);
  /// Errors: invalid when fewer or more bytes came than were declared; io.
  void commit();

 private:
  AtomicFile file_;
  std::string where_;
  int64_t remaining_ = 0;
};

/// The whole file at once.
void write_safetensors(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace lowrank
