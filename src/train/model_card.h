#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "data/order/weighted_data.h"
#include "peft/files/adapter_file.h"
#include "train/run.h"

namespace lowrank {

/// Writes README.md next to an adapter: front matter for the Hugging Face hub, what was trained on which
/// data, and the losses. With `conversations`, on which it was trained, the card tells how to chat.
void write_model_card(const std::filesystem::path& folder, const Adapter& adapter, const std::string& base,
                      std::span<const WeightedData> data, const TrainOptions& options,
                      const RunResult& result, bool conversations);

}  // namespace lowrank
