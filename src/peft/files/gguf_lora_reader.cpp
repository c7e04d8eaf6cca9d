#include <cmath>

#include <fmt/ranges.h>

#include "base/error.h"
#include "formats/gguf.h"
#include "model/tensor_form.h"
#include "peft/files/factor_pairs.h"
#include "peft/files/gguf_lora.h"

namespace lowrank {
namespace {

constexpr const char* alpha_key = "adapter.lora.alpha";
constexpr const char* invocation_key = "adapter.alora.invocation_tokens";

void check_keys(const GgufFile& file, const ModelSpec& spec) {
  const std::string where = file.path().string();
  const auto type = file.find<std::string>("general.type").value_or("model");
  if (type != "adapter") {
    throw Error(ErrorKind::unsupported, fmt::format("{}: a {}, not an adapter", where, type.substr(0, 40)),
                type == "model" ? "give it as `model`" : "");
  }
  std::vector<std::string> problems;
  const auto kind = file.get<std::string>("adapter.type");
  if (kind != "lora") problems.push_back(fmt::format("adapter.type {}", kind.substr(0, 40)));
  const auto architecture = file.get<std::string>("general.architecture");
  if (architecture != spec.gguf_architecture) {
    problems.push_back(fmt::format("an adapter for {} where the base model is {}", architecture.substr(0, 40),
                                   spec.gguf_architecture.empty() ? spec.family : spec.gguf_architecture));
  }
  if (file.metadata().contains(invocation_key))
    problems.push_back(fmt::format("activation by tokens ({})", invocation_key));
  check(problems.empty(), ErrorKind::unsupported, "{}: {} cannot be read", where, fmt::join(problems, "; "));
}

FactorNames names_of(const ModelSpec& spec) {
  FactorNames names;
  for (const Module& module : spec.modules) {
    if (const TensorRef* weight = spec.find_tensor(module.name + ".weight"))
      names.modules[weight->gguf_name] = &module;
  }
  names.layout = [](const Module& module) { return FactorLayout{!module.is_linear(), false}; };
  return names;
}

}  // namespace

AdapterContents read_gguf_lora(const std::filesystem::path& path, const ModelSpec& spec) {
  const GgufFile file = GgufFile::open(path);
  check_keys(file, spec);
  const double alpha = file.find<double>(alpha_key).value_or(0);
  check(std::isfinite(alpha) && alpha >= 0, ErrorKind::invalid, "{}: {} is {}", path.string(), alpha_key,
        alpha);
  std::vector<LowRankUpdate> updates = read_factor_pairs(file.tensors(), names_of(spec), path.string());
  for (LowRankUpdate& update : updates) {
    update.alpha = alpha > 0 ? alpha : static_cast<double>(update.rank);
    const TensorRef& weight = *spec.find_tensor(update.module->name + ".weight");
    update.a = from_gguf_column_order(update.a, weight);
    update.b = from_gguf_row_order(update.b, weight);
  }
  AdapterContents contents = contents_of(updates, spec, false);
  contents.config_name = contents.tensors_name = path.string();
  return contents;
}

}  // namespace lowrank
