#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "data/sources/text_window.h"

namespace lowrank {

/// The module that reads Parquet tables: the file that the environment variable LOWRANK_PARQUET names, or
/// liblowrank_parquet.so beside the program, beside this library, or in the folder of their libraries;
/// nothing if there is none.
std::optional<std::filesystem::path> parquet_module();

/// The rows of a Parquet table as JSON lines. The table stays in memory while it is read; `file` names it in
/// errors. Null values are null; NaN and infinity, too; times and decimal numbers are strings. What is in
/// memory is a few hundred rows and the pages that they are on, at most 1 GB. Errors, now or when reading
/// comes to them: unsupported without the module (the message says how to get it), for columns that rows
/// cannot have (bytes, maps, …); corrupt.
ReadBytes parquet_lines(std::span<const std::byte> table, std::string file);

}  // namespace lowrank
