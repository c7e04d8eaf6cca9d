#pragma once

#include <string>
#include <string_view>

namespace lowrank {

/// `text` for XML and HTML, inside elements and in double-quoted attributes. Control characters, which XML
/// forbids, become spaces; line breaks and tabs stay if `breaks` is true.
std::string escaped(std::string_view text, bool breaks = false);

}  // namespace lowrank
