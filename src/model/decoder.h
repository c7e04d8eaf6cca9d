#pragma once

#include <memory>

#include "model/decoder_config.h"
#include "model/model.h"

namespace lowrank {

class Checkpoint;

/// The model of such a configuration. With norms n that are the identity where a layer lacks them,
///   h = e E[token] (+ P[position]);  in each layer  h += r n2(O attend(rope(norm([Q; K; V] n1(h)))));
///   h += r n4(D(act(G x) * (U x))) or h += r n4(D act(U x)) with x = n3(h);  logits = l H n(h).
std::unique_ptr<Model> make_decoder(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options,
                                    DecoderConfig config);

}  // namespace lowrank
