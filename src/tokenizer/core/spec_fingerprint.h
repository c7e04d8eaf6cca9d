#pragma once

#include "base/fingerprint.h"
#include "tokenizer/core/tokenizer_spec.h"

namespace lowrank {

/// Adds everything that the ids of a text depend on.
void add_to(Fingerprint& all, const TokenizerSpec& spec);

}  // namespace lowrank
