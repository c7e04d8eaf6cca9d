#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/rows/rows.h"
#include "study/benchmark/rows.h"

namespace lowrank {

/// The rows of data files (base/data_files.h) as a benchmark's, in any layout that `train` reads, unchanged.
/// What belongs together is the prompt, the text or the conversation up to its last answer. The references
/// are the row's list `references`, or else its completion, its label or its last answer; those of a row of
/// plain text are none. Errors: as read_rows; invalid for rows that `answer` does not suit, and with
/// `only_conversations` for others.
BenchmarkRows rows_of_file(const std::filesystem::path& path, const RowOptions& options, Answer answer,
                           bool only_conversations = false);

}  // namespace lowrank
