#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "formats/tensor_file.h"

namespace lowrank {

/// Writes a safetensors file tensor by tensor, so that a model larger than memory can be written: all names,
/// types and shapes first, then each tensor's bytes in the order declared (wide types first keep all tensors
/// aligned). The file appears only when it is complete.
class SafetensorsWriter {
 public:
  /// `tensors`: their `bytes` are ignored. Errors: invalid on duplicate names, block formats, shapes that
  /// overflow, text that is not UTF-8; io.
  SafetensorsWriter(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                    const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

  /// The next bytes. A tensor may come in pieces. Errors: invalid when they are more than was declared; io.
  void append(std::span<const std::byte> bytes);
  /// Errors: invalid when fewer bytes came than were declared; io.
  void commit();

 private:
  AtomicFile file_;
  std::string where_;
  int64_t remaining_ = 0;
};

/// The whole file at once. Errors: as SafetensorsWriter; invalid when a tensor's bytes do not fit its shape.
void write_safetensors(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace lowrank
