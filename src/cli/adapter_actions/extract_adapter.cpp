#include "session/adapters/extract_adapter.h"

#include <algorithm>
#include <iostream>

#include "base/json.h"
#include "base/log.h"
#include "base/one_line.h"
#include "cli/adapter_actions/adapter_actions.h"
#include "cli/adapter_actions/fit_report.h"
#include "session/places.h"

namespace lowrank {
namespace {

void report_left(const std::vector<LeftDifference>& left) {
  constexpr size_t shown = 8;
  if (left.empty()) return;
  std::vector<LeftDifference> sorted = left;
  std::ranges::stable_sort(sorted, std::ranges::greater(), &LeftDifference::share);
  warn("{} differ and are not in the adapter:", counted(std::ssize(left), "tensor"));
  for (size_t i = 0; i < std::min(shown, sorted.size()); ++i) {
    info("  {}: difference {:.3g}, {:.2g} % of its size, largest {:.2g}", sorted[i].name, sorted[i].size,
         100 * sorted[i].share, sorted[i].largest);
  }
  if (sorted.size() > shown) info("  and {} more", sorted.size() - shown);
  info("--modules-to-save, --bias and --embeddings store such tensors");
}

void report(const ExtractedAdapter& extracted, const std::string& output) {
  info("{}: {}{}", output, text_of(extracted.modules),
       extracted.same > 0 ? fmt::format("; {} linear layers do not differ", extracted.same) : "");
  if (!extracted.whole.empty()) info("{} stored in full", counted(std::ssize(extracted.whole), "tensor"));
  report_left(extracted.left);
  info("{} bytes", extracted.bytes);
  if (!extracted.difference) return;
  info("logits against the tuned model's (f32, root mean square): {:.2e} with the adapter, {:.2e} without",
       extracted.difference->distance, extracted.effect->distance);
}

nlohmann::ordered_json json_of(const ExtractedAdapter& extracted) {
  nlohmann::ordered_json out = json_of(extracted.modules);
  out["stored_in_full"] = extracted.whole;
  nlohmann::ordered_json left = nlohmann::ordered_json::array();
  for (const LeftDifference& tensor : extracted.left) {
    left.push_back({{"tensor", tensor.name},
                    {"size", tensor.size},
                    {"share", tensor.share},
                    {"largest", tensor.largest}});
  }
  out["not_in_the_adapter"] = std::move(left);
  out["bytes"] = extracted.bytes;
  if (extracted.difference) {
    out["logit_distance"] = extracted.difference->distance;
    out["base_logit_distance"] = extracted.effect->distance;
  }
  return out;
}

}  // namespace

int extract_adapter_action(Arguments& arguments) {
  ExtractOptions options;
  bool json = false;
  arguments.set_example("lowrank adapters extract --model base --tuned tuned --rank 32 --output lora");
  Field tuned = model_field(options.tuned);
  tuned.name = "tuned";
  tuned.help = "the model that was made from it: " + tuned.help;
  arguments.add({model_field(options.model), std::move(tuned),
                 field("output", options.output.path, "folder, or FILE.gguf; it must not exist")});
  arguments.add(options.fields());
  arguments.add({field("json", json, "the result as JSON on standard output")});
  if (!arguments.parse()) return 0;
  require({{"--model", &options.model}, {"--tuned", &options.tuned}, {"--output", &options.output.path}});
  const ExtractedAdapter extracted = extract_adapter(options);
  report(extracted, options.output.path);
  if (json) std::cout << json_of(extracted).dump() << '\n';
  return 0;
}

}  // namespace lowrank
