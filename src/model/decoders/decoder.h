#pragma once

#include <memory>

#include "model/checkpoint.h"
#include "model/decoder_config.h"
#include "model/decoders/decoder_spec.h"
#include "model/model.h"

namespace lowrank {

/// The model of such a configuration. Norms n are the identity where a layer lacks them:
///   h = e E[token] (+ P[position]);  in each layer  h += r n2(O attend(rope(norm([Q; K; V] n1(h)))));
///   h += r n4(D(act(G x) * (U x))) or h += r n4(D act(U x)) with x = n3(h), or in
///   some layers their experts (model/experts.h);  logits = l H n(h).
/// Scores and logits y may be capped, c tanh(y / c).
std::unique_ptr<Model> make_decoder(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options,
                                    DecoderConfig config);

/// Reads a decoder's config.json. Errors: invalid or unsupported, the key named.
using ParseDecoder = DecoderConfig (*)(const nlohmann::json& config);

/// `FamilyInfo::spec` for a family of decoders: `decoder_spec<family_name, parse>`.
template <const std::string_view& family, ParseDecoder parse>
ModelSpec decoder_spec(const nlohmann::json& config) {
  return decoder_spec(family, config, parse(config));
}

/// `FamilyInfo::load` for a family of decoders.
template <ParseDecoder parse>
std::unique_ptr<Model> load_decoder(std::shared_ptr<const Checkpoint> checkpoint,
                                    const LoadOptions& options) {
  DecoderConfig config = parse(checkpoint->spec().config);
  return make_decoder(std::move(checkpoint), options, std::move(config));
}

}  // namespace lowrank
