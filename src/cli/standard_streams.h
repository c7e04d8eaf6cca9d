#pragma once

namespace lowrank {

/// Opens /dev/null in place of a closed standard input, output or error, so that no file of ours gets
/// descriptor 0, 1 or 2. Writing to a standard output that was closed still fails.
void open_closed_streams();

}  // namespace lowrank
