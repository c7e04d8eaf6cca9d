#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lowrank {

/// Where tokenised rows are kept between runs: XDG_CACHE_HOME/lowrank/rows, else ~/.cache/lowrank/rows; empty
/// if neither is known. It need not exist.
std::filesystem::path default_cache_folder();

/// Refuses a folder given for the cache (empty: none is) that is something else. Errors: invalid.
void check_cache_folder(const std::string& given);

/// Removes files of rows, those that were used longest ago first, until at most `most_bytes` are left, and
/// what writers left behind that were killed. `kept` stays. Problems are ignored: another run may do the
/// same.
void tidy_cache_folder(const std::filesystem::path& folder, const std::filesystem::path& kept,
                       uint64_t most_bytes);

/// The ending of files of rows.
inline constexpr const char* rows_ending = ".rows";

}  // namespace lowrank
