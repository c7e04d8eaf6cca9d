#pragma once

#include <memory>

#include "model/encoder_config.h"
#include "model/model.h"

namespace lowrank {

class Checkpoint;

/// The model of such a configuration (Devlin et al. 2019, arXiv 1810.04805):
///   h = norm(E[token] + P[position] + type_0);  h = norm(h + O attend(h));  h = norm(h + D act(U h)),
/// attention in both directions; a label head reads each sequence's first row, W tanh(V h_0 + c) + b.
std::unique_ptr<Model> make_encoder(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options,
                                    EncoderConfig config);

}  // namespace lowrank
