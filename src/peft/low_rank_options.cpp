#include "peft/low_rank_options.h"

#include <cmath>

#include "base/error.h"

namespace lowrank {
std::vector<Field> LowRankOptions::fields() {
  constexpr double most = most_rank;
  std::vector<Field> fields{
      limited(field("rank", rank, "columns of B and rows of A"), 1, most),
      limited(field("alpha", alpha, "numerator of the scaling"), 1e-6, most),
      one_of(field("scaling", scaling, "factor on B A x"), {"alpha/r", "alpha/sqrt(r)", "1/alpha"}),
      limited(field("dropout", dropout, "share of the adapter's inputs that are zeroed in training"), 0,
              0.99),
      field("rank_pattern", rank_pattern, "rank by regular expression on the module's name"),
      field("alpha_pattern", alpha_pattern, "alpha by regular expression on the module's name"),
  };
  for (Field& target : targets.fields()) fields.push_back(std::move(target));
  const std::vector<Field> beside{
      one_of(field("init", init,
                   "start of A: true (uniform) or gaussian, with B zero; orthogonal; false: both random"),
             {"true", "gaussian", "orthogonal", "false"}),
      field("lora_bias", lora_bias, "a trained bias beside each B"),
      one_of(field("bias", bias, "which of the model's own biases train, too"), {"none", "all", "lora_only"}),
      field("modules_to_save", modules_to_save, "parts of the model that train whole and are saved"),
      field("trainable_token_indices", trainable_token_indices,
            "ids of tokens whose rows of the embedding train"),
      field("ensure_weight_tying", ensure_weight_tying,
            "a head that is tied to the embedding follows what is trained on it"),
  };
  fields.insert(fields.end(), beside.begin(), beside.end());
  return fields;
}

int64_t LowRankOptions::rank_of(const Module& module) const {
  return pattern_rank(rank_pattern, module.name, rank);
}

double LowRankOptions::scale_of(const Module& module, int64_t rank) const {
  const double numerator = pattern_value(alpha_pattern, module.name, alpha);
  constexpr double most = 1 << 20;
  check(numerator > 0 && numerator <= most, ErrorKind::invalid,
        "alpha_pattern gives {} for {}; an alpha lies above 0 and is at most {}", numerator, module.name,
        most);
  if (scaling == "1/alpha") return 1 / numerator;
  const auto r = static_cast<double>(rank);
  return numerator / (scaling == "alpha/r" ? r : std::sqrt(r));
}

}  // namespace lowrank
