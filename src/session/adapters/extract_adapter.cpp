#include "session/adapters/extract_adapter.h"

#include "base/error.h"
#include "base/progress.h"
#include "base/staged_folder.h"
#include "session/places.h"
#include "session/session.h"

namespace lowrank {

std::vector<Field> ExtractOptions::fields() {
  std::vector<Field> fields = output.fields();
  fields.push_back(field("modules_to_save", modules_to_save,
                         "parts of the model (ends of dotted names: norm, lm_head) that are stored in full"));
  fields.push_back(one_of(field("bias", bias,
                                "the model's biases that are stored in full: all, or with lora_only those of "
                                "the layers with an update"),
                          {"none", "all", "lora_only"}));
  fields.push_back(field("embeddings", embeddings, "also an update of the embedding"));
  return fields;
}

ExtractedAdapter extract_adapter(const ExtractOptions& options) {
  check_model_place(options.model);
  check_model_place(options.tuned);
  LowRankOutput output = options.output;
  output.path = without_slash(output.path).string();
  check_output(output);
  check(output.rank || output.energy, ErrorKind::invalid,
        "an extraction needs a `rank` (16, for instance) or an `energy` (0.99)");
  const auto base = open_told(options.model);
  const auto tuned = open_told(options.tuned);
  Extraction extraction;
  {
    std::optional<Progress> line;
    const auto show = [&](int64_t done, int64_t total) {
      if (!line) line.emplace("tensor", total);
      line->update(done, {});
    };
    extraction = extract_low_rank(
        *base, *tuned, {output.choice(), options.modules_to_save, options.bias, options.embeddings}, show);
  }
  ExtractedAdapter result{std::move(extraction.modules), std::move(extraction.whole),
                          std::move(extraction.left), extraction.same};
  result.bytes = write_low_rank(output, *base, extraction.adapter, options.model);
  if (!output.check) return result;
  result.effect = compare_models(options.tuned, options.model);
  result.difference = compare_adapted({options.tuned, ""}, {options.model, output.path});
  return result;
}

}  // namespace lowrank
