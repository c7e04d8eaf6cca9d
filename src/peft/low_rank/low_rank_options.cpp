#include "peft/low_rank/low_rank_options.h"

#include <cmath>

#include <fmt/ranges.h>

#include "base/error.h"

namespace lowrank {

std::vector<Field> LowRankOptions::fields() {
  constexpr double most = most_rank;
  std::vector<Field> fields{
      limited(field("rank", rank, "r, the number of columns of B and rows of A"), 1, most),
      limited(field("alpha", alpha, "numerator of the scaling"), 1e-6, most),
      one_of(field("scaling", scaling,
                   "the factor s on B A x: alpha/r, alpha/sqrt(r) (rsLoRA) or 1/alpha (written to files as "
                   "lora_alpha = r/alpha)"),
             {"alpha/r", "alpha/sqrt(r)", "1/alpha"}),
      limited(field("dropout", dropout, "share of the adapter's inputs that are zeroed in training"), 0,
              0.99),
      field("rank_pattern", rank_pattern,
            "other ranks for the modules that a regular expression matches: down_proj=4"),
      field("alpha_pattern", alpha_pattern,
            "other values of alpha for the modules that a regular expression matches: down_proj=4"),
  };
  for (Field& target : targets.fields()) fields.push_back(std::move(target));
  const std::vector<Field> beside{
      field("target_parameters", target_parameters,
            "parameters of experts that are adapted beside `target_modules`, by dotted ends of their names: "
            "experts.gate_up_proj, experts.down_proj, gate.weight"),
      one_of(field("init", init,
                   "A uniform (true) or gaussian, with B zero; orthogonal (even r): both non-zero with B A = "
                   "0; false: both random"),
             {"true", "gaussian", "orthogonal", "false"}),
      field("lora_bias", lora_bias, "a trained bias for each B: y += s c"),
      one_of(field("bias", bias,
                   "the model's own biases that are also trained: all, or with lora_only those of the "
                   "adapted layers"),
             {"none", "all", "lora_only"}),
      field("modules_to_save", modules_to_save,
            "parts of the model (ends of dotted names: lm_head, model.norm, 0.mlp) that are trained in full "
            "and saved"),
      field("trainable_token_indices", trainable_token_indices,
            "ids of tokens whose embedding rows are trained; a tied head follows"),
      field("ensure_weight_tying", ensure_weight_tying,
            "a tied head follows what is trained on the embedding, so that merging keeps the tie"),
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

LowRankOptions low_rank_options(const std::vector<LowRankUpdate>& updates) {
  std::vector<double> ranks, alphas;
  std::vector<std::string> names;
  for (const LowRankUpdate& update : updates) {
    ranks.push_back(static_cast<double>(update.rank));
    alphas.push_back(update.alpha);
    names.push_back(update.module->name);
  }
  LowRankOptions options;
  options.rank = static_cast<int64_t>(most_common(ranks));
  options.alpha = most_common(alphas);
  for (const LowRankUpdate& update : updates) {
    if (update.rank != options.rank)
      options.rank_pattern.emplace_back(update.module->name, static_cast<double>(update.rank));
    if (update.alpha != options.alpha) options.alpha_pattern.emplace_back(update.module->name, update.alpha);
  }
  options.targets.target_modules = fmt::format("{}", fmt::join(names, ","));
  return options;
}

}  // namespace lowrank
