#pragma once

#include <memory>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

#include "model/blocks.h"
#include "model/checkpoint.h"
#include "model/decoder_config.h"
#include "model/experts.h"
#include "model/linear.h"
#include "model/model.h"

namespace lowrank {

/// The weights of one layer of a decoder. Parts that the layer lacks are empty.
struct DecoderLayer {
  Linear qkv, out;
  Linear up;  ///< gate and up if there is a gate
  Linear down;
  Norm before_attention, after_attention, before_mlp, after_mlp, query, key;
  std::unique_ptr<Mixer> mixer;    ///< in the place of attention, which then has no parts
  std::optional<Experts> experts;  ///< in place of `up` and `down`
  const TensorRef* sinks = nullptr;
  at::Tensor sink_values;  ///< of frozen ones
};

/// Reads the parts of a decoder from its files. What it is made from must outlive it.
class DecoderLoader {
 public:
  DecoderLoader(const Checkpoint& checkpoint, const LoadOptions& options, const DecoderConfig& config)
      : checkpoint_(checkpoint), options_(options), config_(config) {}

  /// The norm of a part below `prefix`; the identity if the part has no name.
  Norm norm(const std::string& prefix, const PartName& part) const;

  /// The layer of that number.
  DecoderLayer layer(int64_t index) const;

 private:
  const Checkpoint& checkpoint_;
  const LoadOptions& options_;
  const DecoderConfig& config_;
};

}  // namespace lowrank
