#include "model/mixers/layer_tensor.h"

#include "base/error.h"
#include "model/checkpoint.h"

namespace lowrank {

LayerTensor load_layer_tensor(const Checkpoint& checkpoint, const LoadOptions& options,
                              const std::string& name) {
  const TensorRef* tensor = checkpoint.spec().find_tensor(name);
  check(tensor != nullptr, ErrorKind::invalid, "the family {} has no tensor {}", checkpoint.spec().family,
        name);
  LayerTensor loaded{tensor, {}};
  if (options.use_of(*tensor) == TensorUse::frozen)
    loaded.value =
        checkpoint.read(*tensor, options.compute == at::kDouble ? at::kDouble : at::kFloat, options.device);
  return loaded;
}

}  // namespace lowrank
