#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "formats/gguf_part.h"

namespace lowrank {

/// The keys of a part of a split model: its number (from 0), the number of parts, and the number of tensors
/// in all parts.
inline constexpr std::string_view split_number_key = "split.no";
inline constexpr std::string_view split_count_key = "split.count";
inline constexpr std::string_view split_tensors_key = "split.tensors.count";

/// All parts, in order, of the model that the file belongs to: that file alone if split.count is missing or
/// at most 1, else also the files beside it, NAME-00001-of-00003.gguf and so on.
/// Errors: as GgufPart::open; invalid when the file is not named that way; not_found, naming the missing
/// parts; corrupt when the parts' keys contradict their names, each other, or the tensors found.
std::vector<GgufPart> open_gguf_parts(const std::filesystem::path& path);

}  // namespace lowrank
