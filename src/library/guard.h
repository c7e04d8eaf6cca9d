#pragma once

#include <mutex>
#include <stop_token>
#include <utility>

#include <c10/util/Exception.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/interrupt.h"
#include "session/failures.h"

namespace lowrank {

/// The lock that lets one computation run at a time in the process; a thread may take it again.
std::recursive_mutex& computing();

/// Calls `work` alone, until `stop` asks it to end; what it throws becomes an Error.
template <class Work>
auto guarded(const std::stop_token& stop, Work&& work) {
  const std::lock_guard lock(computing());
  const StopScope scope(stop);
  try {
    return std::forward<Work>(work)();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(ErrorKind::invalid, sentence_of(error));
  }
}

}  // namespace lowrank
