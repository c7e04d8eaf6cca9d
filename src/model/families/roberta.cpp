// RoBERTa (Liu et al. 2019, arXiv 1907.11692): BERT's encoder (encoder.h) with positions that start after the
// padding token's id, one token type, and a label head of its own.
#include "base/error.h"
#include "model/encoder.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "roberta";

EncoderConfig parse(const nlohmann::json& config) {
  const ConfigReader read(config);
  EncoderConfig c = read_encoder_config(read, read.count("pad_token_id", 1) + 1);
  c.prefix = "roberta.";
  c.head_dense = "classifier.dense";
  c.head_out = "classifier.out_proj";
  return c;
}

nlohmann::json tiny_config() {
  return tiny_encoder_config(family_name, "RobertaForSequenceClassification", 1);
}

constexpr std::string_view model_types[] = {"roberta"};

}  // namespace

extern const FamilyInfo roberta_family;
const FamilyInfo roberta_family{family_name,
                                model_types,
                                {},
                                nullptr,
                                nullptr,
                                encoder_spec<family_name, parse>,
                                load_encoder<parse>,
                                tiny_config,
                                "RobertaForSequenceClassification"};

}  // namespace lowrank
