#pragma once

#include <string>

namespace lowrank {

/// Fails with not_found where nothing is at the path of --model; the hint tells how to fetch what looks like
/// a model's name on the Hugging Face hub.
void check_model_place(const std::string& path);

/// The same for an adapter.
void check_adapter_place(const std::string& path);

}  // namespace lowrank
