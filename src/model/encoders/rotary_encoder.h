#pragma once

#include <memory>

#include "model/checkpoint.h"
#include "model/encoders/rotary_encoder_config.h"
#include "model/model.h"

namespace lowrank {

/// The model of such a configuration:
///   h = norm(E[token]);  h = h + O attend(rotate(norm(h)));  h = h + D (act(a) * b), [a | b] = U norm(h),
/// the first layer without its first norm, attention in both directions; at the end, h = norm(h). A label
/// head reads each sequence's first row or the mean of its rows, W norm(act(V h)) + c.
std::unique_ptr<Model> make_rotary_encoder(std::shared_ptr<const Checkpoint> checkpoint,
                                           const LoadOptions& options, RotaryEncoderConfig config);

}  // namespace lowrank
