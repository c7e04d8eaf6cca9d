#pragma once

#include <memory>

#include "model/checkpoint.h"
#include "model/model.h"

namespace lowrank {

/// Gemma 4's text part: with e the scaled embedding and u_i = (norm(P_i e / sqrt(d)) + sqrt(p) E_i[token]) /
/// sqrt(2) the input of layer i (where the model has such), in each layer
///   h += n2(O attend([rope(nq Q), rope(nk K), nv V] n1(h)));  h += n4(D(gelu(G x) * (U x))) with x = n3(h),
///   or with experts h += n4(n6(D(gelu(G x) * (U x))) + n7(experts(n8(h)))), whose router reads
///   c * h / (rms(h) sqrt(d));
///   h += n5(B(gelu(A h) * u_i));  h *= s;
/// logits = c tanh(H n(h) / c). The last layers may read the keys and values of an earlier layer in place of
/// their own; values may be the keys.
std::unique_ptr<Model> load_gemma4(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options);

}  // namespace lowrank
