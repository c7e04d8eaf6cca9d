#pragma once

namespace lowrank {

/// For programs: when a mapped file has become shorter or cannot be read (SIGBUS), the process ends with one
/// sentence that names the file, and exit code 1, instead of a core dump. Nothing is written after it, so
/// files that were not complete stay out of sight. Other handlers of the signal are replaced.
void end_when_pages_are_lost();

}  // namespace lowrank
