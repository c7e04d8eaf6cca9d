#pragma once

#include "formats/tensor_file.h"
#include "model/spec.h"

namespace lowrank {

class Checkpoint;

/// True for a tensor that belongs to another part of a multimodal model, which is left aside.
bool is_of_other_part(const ModelSpec& spec, const StoredTensor& stored);

/// Holds the tensors of a checkpoint's files against its weight table. Errors: invalid when tensors are
/// missing, unexpected or misshapen, up to 8 of them named; unsupported instead where the configuration says
/// that the folder is quantised.
void check_fit(const Checkpoint& checkpoint);

}  // namespace lowrank
