#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "peft/adapter_file.h"
#include "peft/method.h"

// Several methods on one model, `lora+prompt_tuning`: each acts through its own hooks, one after the other,
// on what those before it give; their parameters are one list. A label head trains with the first. Each keeps
// its default learning rate relative to the first one's.
namespace lowrank {

/// A method of the table, or several side by side; `info` lives as long as `method`.
struct ChosenMethod {
  const MethodInfo* info = nullptr;
  std::unique_ptr<Method> method;
};

/// The method of this name, or those whose names `+` joins. An option that several have is set in all of
/// them. Errors: invalid for unknown names and names that stand twice. Planning them is refused (unsupported)
/// where two train the same tensor, and a pass where two change the same module's product in ways that do not
/// add.
ChosenMethod choose_method(std::string_view name);

/// The method of an adapter with the options that it was made with, not planned yet; several side by side
/// where it has them. Errors: as load_adapter, but for the values.
ChosenMethod method_of_adapter(const std::filesystem::path& path, const ModelSpec& spec);

/// True for a folder that holds a folder for each method, and adapters.json with their order.
bool is_side_by_side(const std::filesystem::path& folder);

/// Writes and reads such a folder. Errors: as write_adapter and load_adapter.
void write_side_by_side(const std::filesystem::path& folder, const Adapter& adapter, const std::string& base);
Adapter load_side_by_side(const std::filesystem::path& folder, const Checkpoint& base, at::ScalarType type);

/// The folder of the first method, which has the label head; `folder` itself where it holds one adapter.
std::filesystem::path first_adapter(const std::filesystem::path& folder);

}  // namespace lowrank
