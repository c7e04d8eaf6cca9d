// XLM-RoBERTa (Conneau et al. 2020, arXiv 1911.02116): RoBERTa (encoder_config.h) under another name, with a
// multilingual Unigram vocabulary.
#include "model/encoders/encoder.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "xlm_roberta";

nlohmann::json tiny_config() {
  return tiny_encoder_config("xlm-roberta", "XLMRobertaForSequenceClassification", 1);
}

constexpr std::string_view model_types[] = {"xlm-roberta"};

}  // namespace

extern const FamilyInfo xlm_roberta_family;
const FamilyInfo xlm_roberta_family{family_name,
                                    model_types,
                                    {},
                                    nullptr,
                                    nullptr,
                                    encoder_spec<family_name, read_roberta_config>,
                                    load_encoder<read_roberta_config>,
                                    tiny_config,
                                    "XLMRobertaForSequenceClassification"};

}  // namespace lowrank
