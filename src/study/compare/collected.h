#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace lowrank {

/// Runs `work`; the message of its Error joins the others, so that all are reported at once. Errors:
/// interrupted, and whatever is no Error.
template <class Work>
void collect(std::vector<std::string>& problems, const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::interrupted) throw;
    problems.emplace_back(error.what());
  }
}

}  // namespace lowrank
