#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "data/sources/text_window.h"

namespace lowrank {

/// The ways of compressing a file that are undone while it is read.
enum class Compression {
  gzip,  ///< RFC 1952; several members are one text, zero bytes after the last are ignored
  zstd,  ///< RFC 8878; several frames are one text
};

/// The compression of a file that starts with these bytes; nothing if it is neither.
std::optional<Compression> compression_of(std::string_view start);

/// The text of a compressed file, which stays in memory while it is read. `file` names it in errors. Memory
/// does not depend on the file: 40 kB for gzip, at most 128 MB for zstd. Errors, when reading comes to them:
/// corrupt, with the offset in the file, for data that is damaged, ends early, or is followed by something
/// else; unsupported for zstd with a window of more than 128 MB.
ReadBytes unpacked(Compression compression, std::span<const std::byte> packed, std::string file);

/// The text of a file in memory, compressed or not. `file` names it in errors. Errors: as `unpacked`.
TextWindow text_of(std::string_view bytes, const std::string& file);

}  // namespace lowrank
