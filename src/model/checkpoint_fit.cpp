#include "model/checkpoint_fit.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/one_line.h"
#include "model/checkpoint.h"
#include "model/tensor_form.h"

namespace lowrank {
namespace {

bool begins_like(std::string_view name, const std::vector<std::string>& prefixes) {
  return std::ranges::any_of(prefixes, [&](const std::string& prefix) { return name.starts_with(prefix); });
}

/// What is wrong with the tensors that the table names; adds the names of those that are stored to `known`.
std::vector<std::string> problems_of_table(const Checkpoint& checkpoint,
                                           std::unordered_set<std::string_view>& known) {
  std::vector<std::string> problems;
  const bool gguf = checkpoint.gguf() != nullptr;
  for (const TensorRef& tensor : checkpoint.spec().tensors) {
    const StoredTensor* stored = checkpoint.find(tensor);
    if (stored) known.insert(stored->name);
    if (!stored && !tensor.optional) problems.push_back("missing " + (gguf ? tensor.gguf_name : tensor.name));
    const std::vector<int64_t> shape = gguf ? tensor.shape : folder_shape(tensor);
    const StoredNf4* four_bit = checkpoint.nf4(tensor);
    const std::vector<int64_t>& own = four_bit ? four_bit->shape : stored ? stored->shape : shape;
    if (own != shape && !checkpoint.is_rearranged(tensor)) {
      problems.push_back(fmt::format("{} has shape [{}] where [{}] is expected", stored->name,
                                     fmt::join(own, ", "), fmt::join(shape, ", ")));
    }
  }
  return problems;
}

/// The quantisation method that the configuration gives, for messages; empty: none.
std::string other_quantisation(const nlohmann::json& config) {
  const auto given = config.find("quantization_config");
  if (given == config.end() || !given->is_object()) return {};
  const auto method = given->find("quant_method");
  const bool named = method != given->end() && method->is_string();
  return named ? in_quotes(method->get<std::string>()) : "none that it names";
}

}  // namespace

bool is_of_other_part(const ModelSpec& spec, const StoredTensor& stored) {
  return begins_like(stored.name, spec.other_towers);
}

void check_fit(const Checkpoint& checkpoint) {
  const ModelSpec& spec = checkpoint.spec();
  std::unordered_set<std::string_view> known;
  std::vector<std::string> problems = problems_of_table(checkpoint, known);
  for (const StoredTensor& stored : checkpoint.stored_tensors()) {
    const bool part = checkpoint.is_part_of_others(stored);
    const bool ignored = begins_like(stored.name, spec.ignored) || is_of_other_part(spec, stored);
    if (!known.contains(stored.name) && !part && !is_recomputed(stored.name) && !ignored)
      problems.push_back("unexpected " + stored.name);
  }
  if (problems.empty()) return;
  const size_t shown = std::min<size_t>(problems.size(), 8);
  const std::string more =
      problems.size() > shown ? fmt::format(" and {} more", problems.size() - shown) : "";
  problems.resize(shown);
  if (const std::string method = checkpoint.gguf() ? "" : other_quantisation(spec.config); !method.empty()) {
    throw Error(
        ErrorKind::unsupported,
        fmt::format("{}: the folder is quantised (config.json: quantization_config, quant_method {}), "
                    "and of its kind only bitsandbytes' nf4 is read: {}{}",
                    checkpoint.path().string(), method, problems.front(),
                    problems.size() > 1 ? ", and others" : ""),
        "give the model that was quantised, or a GGUF file of it; `base_format` nf4 rounds it to 4 bits");
  }
  fail(ErrorKind::invalid, "{}: the tensors do not fit a {} model: {}{}", checkpoint.path().string(),
       spec.family, fmt::join(problems, "; "), more);
}

}  // namespace lowrank
