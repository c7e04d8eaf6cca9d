#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "peft/core/method.h"
#include "peft/files/adapter_file.h"

// Several methods on one model, `lora+prompt_tuning`: each acts through its own hooks, in order, on the
// results of those before it; their parameters form one list. A label head is trained with the first. Each
// keeps its default learning rate relative to the first one's.
namespace lowrank {

/// A registered method, or several side by side; `info` lives as long as `method`.
struct ChosenMethod {
  const MethodInfo* info = nullptr;
  std::unique_ptr<Method> method;
};

/// The method of this name, or those whose names are joined with `+`. An option that several have is set in
/// all of them. Errors: invalid for unknown and duplicate names. Planning them fails (unsupported) if two
/// train the same tensor, and a pass fails if two change the same module's product in ways that do not add.
ChosenMethod choose_method(std::string_view name);

/// The method of an adapter with the options it was trained with, not planned yet; several side by side if
/// the adapter has them. Errors: as load_adapter, except those about tensors and values.
ChosenMethod method_of_adapter(const std::filesystem::path& path, const ModelSpec& spec);

/// True for a folder with one subfolder per method and adapters.json with their order.
bool is_side_by_side(const std::filesystem::path& folder);

/// The methods of such a folder, in their order; each is the name of its subfolder. Errors: corrupt.
std::vector<std::string> names_side_by_side(const std::filesystem::path& folder);

/// Writes and reads such a folder. Errors: as write_adapter and load_adapter.
void write_side_by_side(const std::filesystem::path& folder, const Adapter& adapter, const std::string& base);
Adapter load_side_by_side(const std::filesystem::path& folder, const Checkpoint& base, at::ScalarType type);

/// The folder of the first method, which has the label head; `folder` itself if it holds a single adapter.
std::filesystem::path first_adapter(const std::filesystem::path& folder);

}  // namespace lowrank
