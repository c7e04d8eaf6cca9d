#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "formats/gguf_metadata.h"
#include "formats/tensor_file.h"

namespace lowrank {

/// Writes a GGUF file of version 3 tensor by tensor, so that a model larger than the memory passes through:
/// keys and all names, types and shapes first, then each tensor's bytes in the order declared. Tensors begin
/// at multiples of general.alignment. The file appears when it is complete.
class GgufWriter {
 public:
  /// `tensors`: their `bytes` are not looked at. Errors: invalid on duplicate names, names of 0 or more than
  /// 63 bytes, types that GGUF lacks, shapes of 0 or more than 4 dimensions or that overflow, dimensions of
  /// 0, rows that do not fill whole blocks, and an alignment as GgufMetadata::alignment refuses it; io.
  /// `existing`: what becomes of a file of that name, as AtomicFile.
  GgufWriter(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
             const GgufMetadata& metadata, Existing existing = Existing::replaced);

  /// The next bytes of the tensor whose turn it is; it may come in pieces, none of which reaches into the
  /// next one. Errors: invalid, naming the tensor, when they are more than it lacks; io.
  void append(std::span<const std::byte> bytes);
  /// Errors: invalid, naming the first tensor that lacks bytes; io.
  void commit();

 private:
  struct Declared {
    std::string name;
    uint64_t missing;  ///< bytes still to come
    uint64_t padding;  ///< zeros behind them
  };

  AtomicFile file_;
  std::string where_;
  std::vector<Declared> tensors_;
  size_t turn_ = 0;
};

/// The whole file at once. Errors: as GgufWriter; invalid when a tensor's bytes do not fit its shape.
void write_gguf(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                const GgufMetadata& metadata, Existing existing = Existing::replaced);

}  // namespace lowrank
