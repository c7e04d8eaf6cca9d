#pragma once

#include <cstdint>

namespace lowrank {

/// Bytes of this process in memory now (resident set, including touched pages of mapped files); 0 if unknown.
int64_t resident_bytes();

/// The largest resident_bytes() since the program started; 0 if unknown.
int64_t peak_resident_bytes();

/// Bytes of the machine's memory; 0 if unknown.
int64_t machine_bytes();

/// Seconds of a clock that never jumps; only differences are meaningful.
double monotonic_seconds();

/// True if standard error is a terminal on which a line can be redrawn (TERM is not `dumb`).
bool standard_error_redraws();

/// True if it also shows colours: the environment variable NO_COLOR is unset or empty (no-color.org).
bool standard_error_has_colours();

/// Returns freed memory to the system, as far as the C library can.
void return_freed_memory();

/// Sets what the numeric libraries read from the environment at first use, unless the user has set it;
/// prepare_kernels() calls it (kernels/core/prepare_kernels.h). MKL: the same bits in every run (by default
/// it chooses its code by the alignment of buffers). oneDNN: few cached kernels, since packed batches keep
/// having new sizes and each size has its own kernels, which by default pile up to gigabytes; a step uses
/// fewer than a hundred. The C library: freed memory stays with the process, since every step takes it again
/// and the system would have to clear every page again. All: no instructions above LOWRANK_CPU
/// (base/cpu_features.h). Errors: invalid for a wrong LOWRANK_CPU.
void set_library_defaults();

}  // namespace lowrank
