#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "formats/gguf_metadata.h"
#include "formats/tensor_file.h"

namespace lowrank {

/// Writes a GGUF file of version 3 tensor by tensor, so that a model larger than memory can be written: keys
/// and all names, types and shapes first, then each tensor's bytes in the order declared. Tensors begin at
/// multiples of general.alignment. The file appears only when it is complete.
class GgufWriter {
 public:
  /// `tensors`: their `bytes` are ignored. Errors: invalid on duplicate names, names of 0 or more than 63
  /// bytes, types that GGUF lacks, shapes of 0 or more than 4 dimensions or that overflow, dimensions of 0,
  /// rows that do not fill whole blocks, and an alignment that GgufMetadata::alignment rejects; io.
  /// `existing`: what happens to an existing file of that name, as for AtomicFile.
  GgufWriter(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
             const GgufMetadata& metadata, Existing existing = Existing::replaced);

  /// The next bytes of the current tensor, which may come in pieces, none extending into the next tensor.
  /// Errors: invalid, naming the tensor, when there are more bytes than it still needs; io.
  void append(std::span<const std::byte> bytes);
  /// Errors: invalid, naming the first tensor that lacks bytes; io.
  void commit();

 private:
  struct Declared {
    std::string name;
    uint64_t missing;  ///< bytes still to come
    uint64_t padding;  ///< zeros after them
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
