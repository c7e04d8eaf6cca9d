#pragma once

#include <memory>

#include "model/checkpoint.h"
#include "model/encoders/encoder_config.h"
#include "model/model.h"

namespace lowrank {

/// The model of such a configuration (Devlin et al. 2019, arXiv 1810.04805):
///   h = norm(E[token] + P[position] + T[type]);  h = norm(h + O attend(h));  h = norm(h + D act(U h)),
/// attention in both directions; a label head reads each sequence's first row, W tanh(V h_0 + c) + b.
std::unique_ptr<Model> make_encoder(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options,
                                    EncoderConfig config);

/// Reads an encoder's config.json. Errors: invalid or unsupported, the key named.
using ParseEncoder = EncoderConfig (*)(const nlohmann::json& config);

/// `FamilyInfo::spec` for a family of encoders: `encoder_spec<family_name, parse>`.
template <const std::string_view& family, ParseEncoder parse>
ModelSpec encoder_spec(const nlohmann::json& config) {
  return encoder_spec(family, config, parse(config));
}

/// `FamilyInfo::load` for a family of encoders.
template <ParseEncoder parse>
std::unique_ptr<Model> load_encoder(std::shared_ptr<const Checkpoint> checkpoint,
                                    const LoadOptions& options) {
  EncoderConfig config = parse(checkpoint->spec().config);
  return make_encoder(std::move(checkpoint), options, std::move(config));
}

}  // namespace lowrank
