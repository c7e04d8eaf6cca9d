#pragma once

#include <cstdint>

namespace lowrank {

/// Bytes of this process in memory now (resident set, mapped files that were touched included); 0 where it is
/// not known.
int64_t resident_bytes();

/// The largest that resident_bytes() has been since the program started; 0 where it is not known.
int64_t peak_resident_bytes();

/// Bytes of the machine's memory; 0 where it is not known.
int64_t machine_bytes();

/// Seconds of a clock that never jumps; only differences mean something.
double monotonic_seconds();

/// Gives memory that was freed back to the system, as far as the C library can.
void return_freed_memory();

/// Sets what the numeric libraries read from the environment at their first use, where the user has not;
/// prepare_kernels() calls it (kernels/prepare_kernels.h). MKL: the same bits in every run (it would choose
/// its code by the alignment of buffers). oneDNN: few kept kernels, since packed batches have ever new sizes
/// and each size its own kernels, which by default pile up to gigabytes; a step uses fewer than a hundred.
/// The C library: freed memory stays with the process, since each step takes it anew and the system would
/// clear each page of it again. All: no instructions above LOWRANK_CPU (base/cpu_features.h), of which a
/// wrong value is an Error.
void set_library_defaults();

}  // namespace lowrank
