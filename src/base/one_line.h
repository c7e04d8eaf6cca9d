#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lowrank {

/// `text` from an untrusted file, fit for one line of a message: control characters and bytes that are not
/// UTF-8 as \xNN, cut with "..." after about `most` bytes.
std::string one_line(std::string_view text, size_t most = 300);

/// The same for a name: in double quotes, with quotes and backslashes inside it also escaped.
std::string in_quotes(std::string_view text, size_t most = 80);

/// A number with a noun that takes an s: "1 row", "2 rows".
std::string counted(int64_t count, std::string_view noun);

}  // namespace lowrank
