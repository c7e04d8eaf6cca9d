#pragma once

#include <cstdint>

namespace lowrank {

/// Bytes of this process in memory now (resident set, mapped files that were touched included); 0 where it is
/// not known.
int64_t resident_bytes();

/// The largest that resident_bytes() has been since the program started; 0 where it is not known.
int64_t peak_resident_bytes();

/// Seconds of a clock that never jumps; only differences mean something.
double monotonic_seconds();

}  // namespace lowrank
