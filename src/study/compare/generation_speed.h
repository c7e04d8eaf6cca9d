#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "peft/files/adapter_file.h"
#include "session/session.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// Seconds per new token at batch 1: the median of three measurements after one that is discarded.
double measured_latency(const Model& model, const InferenceHooks& hooks, const Tokenizer& tokenizer,
                        std::span<const int64_t> prompt, int64_t tokens);

/// The same with the adapter merged into the weights: the merged model is written to a folder beside `beside`
/// and removed again; of an adapter that is not on the CPU, what the folder `adapter` beside it has is
/// merged. nullopt, with a note in `why`, for methods that cannot be merged into this base.
std::optional<double> merged_latency(const SessionOptions& options, const Checkpoint& base,
                                     const Adapter& adapter, std::span<const int64_t> prompt, int64_t tokens,
                                     const std::filesystem::path& beside, std::string& why);

}  // namespace lowrank
