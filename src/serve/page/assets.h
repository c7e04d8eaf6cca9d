#pragma once

#include <span>
#include <string_view>

namespace lowrank::serve {

/// A file that the server sends as it is; the build takes those of this folder into the program.
struct Asset {
  std::string_view path, content_type, content;
};

std::span<const Asset> assets();

/// The one at this path of a request; null if there is none.
const Asset* find_asset(std::string_view path);

}  // namespace lowrank::serve
