// RoBERTa (Liu et al. 2019, arXiv 1907.11692): BERT's encoder (encoder.h) with positions that start after the
// padding token's id, one token type, and a label head of its own.
#include "model/encoders/encoder.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "roberta";

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
                                encoder_spec<family_name, read_roberta_config>,
                                load_encoder<read_roberta_config>,
                                tiny_config,
                                "RobertaForSequenceClassification"};

}  // namespace lowrank
