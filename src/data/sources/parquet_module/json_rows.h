#pragma once

#include <arrow/type_fwd.h>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lowrank {

/// The columns of a table, or parts of them, that no JSON row can have, each with its type: `image.bytes
/// (binary)`. The names of nested parts follow that of the column after a dot.
std::vector<std::string> impossible_columns(const arrow::Schema& schema);

/// Appends a row as a JSON object and a newline. Texts are written as they are, also if they are not UTF-8;
/// NaN and infinity are null; times and decimal numbers are strings. Errors: std::length_error for a row of
/// more than `most_bytes`.
void append_row(const arrow::RecordBatch& batch, int64_t row, size_t most_bytes, std::string& text);

}  // namespace lowrank
