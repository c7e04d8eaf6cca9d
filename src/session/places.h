#pragma once

#include <string>

namespace lowrank {

/// Fails with not_found if nothing exists at the path of `model`; if it looks like a model's name on the
/// Hugging Face hub, the hint says how to download it.
void check_model_place(const std::string& path);

/// The same for an adapter.
void check_adapter_place(const std::string& path);

}  // namespace lowrank
