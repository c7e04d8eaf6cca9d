#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "study/benchmark/benchmark.h"

namespace lowrank {

/// `count` of the numbers below `total`, evenly spaced; all of them if `count` is 0 or not smaller.
std::vector<size_t> evenly_spaced(size_t total, int64_t count);

/// Evenly spaced rows of those that are asked, written to `written`; the same if there are no more than
/// `most`, or `most` is 0. Errors: io; corrupt if the file does not have a line for each list of references.
AskedRows fewer_rows(const AskedRows& all, int64_t most, const std::filesystem::path& written);

/// The same for a file of JSON lines without references: its path, or that of the smaller file.
std::filesystem::path fewer_lines(const std::filesystem::path& rows, int64_t most,
                                  const std::filesystem::path& written);

}  // namespace lowrank
