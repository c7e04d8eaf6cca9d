#pragma once

namespace lowrank {

/// Opens /dev/null where standard input, output or error is closed, so that no file of ours gets the number
/// 0, 1 or 2. Writing to a standard output that was closed still fails.
void open_closed_streams();

}  // namespace lowrank
