#include "peft/algebra/factored_adapter.h"

#include <algorithm>
#include <optional>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/one_line.h"
#include "formats/block_formats.h"
#include "peft/algebra/stored_pairs.h"
#include "peft/low_rank/low_rank_config.h"
#include "peft/low_rank/low_rank_method.h"

namespace lowrank {
namespace {

constexpr std::string_view start = "base_model.model.";

/// Puts a factor with one of PEFT's names into its pair; false for other names.
bool take_factor(const std::string& name, const StoredTensor& tensor, StoredPairs& pairs) {
  if (!name.starts_with(start)) return false;
  std::string_view module = std::string_view(name).substr(start.size());
  take_end(module, ".weight");
  take_end(module, ".default");
  for (const bool embedding : {false, true}) {
    const std::string_view kind = embedding ? ".lora_embedding_" : ".lora_";
    for (const std::string_view factor : {"A", "B"}) {
      std::string_view stem = module;
      if (!take_end(stem, factor) || !take_end(stem, kind)) continue;
      StoredPair& pair = pairs[std::string(stem)];
      (factor == "A" ? pair.a : pair.b) = &tensor;
      pair.embedding = embedding;
      return true;
    }
  }
  return false;
}

}  // namespace

const FactoredUpdate* FactoredAdapter::find(std::string_view module) const {
  const auto found = std::ranges::lower_bound(updates, module, natural_less, &FactoredUpdate::module);
  return found == updates.end() || found->module != module ? nullptr : &*found;
}

bool has_plain_factors(const nlohmann::json& config) {
  return config.is_object() && config.value("peft_type", nlohmann::json()) == "LORA" &&
         config.value("use_dora", nlohmann::json()) != true &&
         !is_low_rank_config(config, false, {"pissa", "olora"});
}

FactoredAdapter factors_of(const AdapterContents& contents) {
  FactoredAdapter adapter{contents.tensors_name, contents.config, 0, {}, {}, {}};
  LowRankOptions options;
  read_low_rank_config(options, contents.config, contents.config_name);
  StoredPairs pairs;
  for (const auto& [name, tensor] : contents.tensors) {
    if (take_factor(name, tensor, pairs)) continue;
    const bool factor_part = name.find(".lora_") != std::string::npos;
    if (factor_part || options.modules_to_save.empty() || !can_expand(tensor.dtype)) {
      adapter.beside.push_back(one_line(name));
    } else {
      at::Tensor values = stored_values(tensor, adapter.where).view(tensor.shape);
      adapter.saved.push_back({name, std::move(values)});
    }
  }
  add_updates(adapter, pairs, [&](FactoredUpdate& update) -> std::optional<std::string> {
    Module module;
    module.name = update.module;
    const int64_t rank = options.rank_of(module);
    update.scale = options.scale_of(module, rank);
    if (update.rank() == rank) return std::nullopt;
    return fmt::format("A of {} has {} rows where the configuration's rank is {}", one_line(update.module),
                       update.rank(), rank);
  });
  return adapter;
}

FactoredAdapter factors_of(const Adapter& adapter, const std::string& where) {
  const LowRankForm form = adapter.method->low_rank_form();
  check(form.beside.empty() && !form.updates.empty(), ErrorKind::unsupported,
        "{}: {} is more than low-rank updates of weights: {}", where, adapter.info->name,
        fmt::join(form.beside, ", "));
  FactoredAdapter factored{where, adapter.method->form().config(), 0, {}, {}, {}};
  for (const LowRankUpdate& update : form.updates) {
    factored.rank = std::max(factored.rank, update.rank);
    factored.updates.push_back({update.module->name, !update.module->is_linear(),
                                update.alpha / static_cast<double>(update.rank),
                                update.a.detach().to(at::kFloat), update.b.detach().to(at::kFloat)});
  }
  std::ranges::sort(factored.updates, natural_less, &FactoredUpdate::module);
  return factored;
}

}  // namespace lowrank
