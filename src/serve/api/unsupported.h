#pragma once

#include "serve/api/parameters.h"

namespace lowrank::serve {

/// Refuses parameters of OpenAI's, vLLM's and llama.cpp's interfaces that would change the answer and that
/// this server does not have, unless their value asks for nothing. Others that are unknown have no effect.
void refuse_unsupported(const Parameters& given);

}  // namespace lowrank::serve
