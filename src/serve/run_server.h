#pragma once

#include "serve/options.h"

namespace lowrank::serve {

/// Serves the model until a signal asks to stop, then lets running requests finish. The calling thread
/// computes. Errors: as opening the model and its tokenizer; io for a port that is in use; invalid as
/// check_reach.
void run_server(const ServeOptions& options);

}  // namespace lowrank::serve
