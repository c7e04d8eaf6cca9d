#pragma once

#include <string>

#include "base/error.h"

namespace lowrank {

/// A render that took more work or memory than it may. Templates that do so once mostly do so for every
/// conversation, each time after the whole of that work.
class RenderLimit : public Error {
 public:
  using Error::Error;
};

/// Throws an error again with another sentence; a RenderLimit stays one.
[[noreturn]] inline void throw_reworded(const Error& error, const std::string& sentence) {
  if (dynamic_cast<const RenderLimit*>(&error)) throw RenderLimit(error.kind(), sentence, error.hint());
  throw Error(error.kind(), sentence, error.hint());
}

}  // namespace lowrank
