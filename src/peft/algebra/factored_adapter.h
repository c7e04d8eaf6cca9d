#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "peft/algebra/factored_update.h"
#include "peft/files/adapter_contents.h"
#include "peft/files/adapter_file.h"

namespace lowrank {

/// An adapter as the updates that it adds to single weights.
struct FactoredAdapter {
  std::string where;                    ///< the file or folder, for errors
  nlohmann::json config;                ///< as PEFT's LoraConfig; empty where the file has none
  int64_t rank = 0;                     ///< the highest of the updates
  std::vector<FactoredUpdate> updates;  ///< in `natural_less` order of their modules
  std::vector<FileTensor> saved;  ///< modules that were trained in full (modules_to_save), under PEFT's names
  std::vector<std::string> beside = {};  ///< what else it trains, for messages; empty: nothing

  /// The module's update; nullptr if it has none.
  const FactoredUpdate* find(std::string_view module) const;
};

/// True when a configuration is that of a LORA adapter of PEFT whose file holds s B A itself: without DoRA,
/// and without a start that changes the base's weights (PiSSA, OLoRA).
bool has_plain_factors(const nlohmann::json& config);

/// The updates in the contents of such an adapter, which need no base: s follows from the configuration's
/// alpha, rank, patterns and use_rslora. Errors: unsupported for options that change the computation in
/// unimplemented ways; invalid, listing factors that lack their partner, whose ranks differ or are not the
/// configuration's; corrupt for values that are not finite.
FactoredAdapter factors_of(const AdapterContents& contents);

/// The updates of an adapter of any method that is no more than low-rank updates. Errors: unsupported for
/// others, as Method::low_rank_form tells.
FactoredAdapter factors_of(const Adapter& adapter, const std::string& where);

/// The updates of a GGUF LoRA or an mlx-lm folder by the names in the file, without a base: enough for norms.
/// Errors: as factors_of; unsupported for other kinds of adapters.
FactoredAdapter read_own_factors(const std::filesystem::path& path);

}  // namespace lowrank
