#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace lowrank {

/// The ending of a file's name in small letters, without that of its compression: .jsonl of rows.jsonl.gz.
std::string content_ending(const std::filesystem::path& path);

/// Whether a file of this name is a data file when it lies in a folder that is one.
bool has_data_ending(const std::filesystem::path& path);

/// The endings of data files, for messages.
inline constexpr const char* data_endings = ".jsonl, .json, .csv, .tsv (also with .gz or .zst) or .parquet";

/// Whether a file that starts with these bytes is a Parquet table.
bool is_parquet(std::string_view start);

/// Errors: unsupported if a text starts as a file of another kind does (an archive, UTF-16, a database, …),
/// with what to do about it; `file` names it.
void refuse_other_kinds(std::string_view text, const std::string& file);

}  // namespace lowrank
