#pragma once

#include "model/spec.h"

namespace lowrank {

/// True for the matrix (or bias) of an expert that PEFT and folders know as a part of a stack only: its name
/// begins with that of the stack.
bool is_only_stacked(const TensorRef& tensor);

}  // namespace lowrank
