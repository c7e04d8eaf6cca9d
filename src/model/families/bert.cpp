// BERT (Devlin et al. 2019, arXiv 1810.04805), including sentence-transformers folders: encoder.h.
// The label head is the pooler, which folders of plain encoders may also contain, and a classifier.
#include "base/error.h"
#include "model/encoders/encoder.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "bert";

EncoderConfig parse(const nlohmann::json& config) {
  EncoderConfig c = read_encoder_config(ConfigReader(config), 0);
  c.prefix = "bert.";
  c.head_dense = "bert.pooler.dense";
  c.head_out = "classifier";
  return c;
}

nlohmann::json tiny_config() {
  return tiny_encoder_config(family_name, "BertForSequenceClassification", 2);
}

constexpr std::string_view model_types[] = {"bert"};

}  // namespace

extern const FamilyInfo bert_family;
const FamilyInfo bert_family{family_name,
                             model_types,
                             {},
                             nullptr,
                             nullptr,
                             encoder_spec<family_name, parse>,
                             load_encoder<parse>,
                             tiny_config,
                             "BertForSequenceClassification"};

}  // namespace lowrank
