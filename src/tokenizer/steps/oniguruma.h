#pragma once

#include <string>
#include <string_view>

namespace lowrank {

/// A regular expression that PCRE2 (with UTF and UCP) reads as Oniguruma reads `pattern`, which is the
/// dialect of tokenizer.json: \s, \w, \h and \p{..} match Oniguruma's characters. Errors: unsupported for
/// constructs without a counterpart (intersections and negated properties in a class); `where` names the
/// file.
std::string from_oniguruma(std::string_view pattern, const std::string& where);

/// An expression that matches `text` literally.
std::string literal_pattern(std::string_view text);

}  // namespace lowrank
