#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "peft/adapter_contents.h"
#include "peft/adapter_file.h"

namespace lowrank {

/// An adapter's files, opened, with the method that they configure: before it is planned.
struct StoredAdapter {
  AdapterContents contents;
  const MethodInfo* info = nullptr;
  std::unique_ptr<Method> method;
  std::optional<StoredTensor> encoded;  ///< what the method's encoder must give (peft/encoder_state.h)
  std::string where;                    ///< of `encoded`
};

/// Errors: as load_adapter, but for the values.
StoredAdapter open_adapter(const std::filesystem::path& path, const ModelSpec& spec);

/// Holds an adapter's tensors against the plan of its method, before parameters are made, and calls those
/// that stand under another of PEFT's names by the plan's. Returns what the files say to no effect, for
/// people. Errors: as load_adapter, but for the values.
std::vector<std::string> check_tensors(StoredAdapter& stored, const TrainPlan& plan, const ModelSpec& spec);

/// Reads a plan's tensors, and no others, into its parameters. Errors: as load_adapter.
void load_parameters(const AdapterContents& contents, const TrainPlan& plan, const ModelSpec& spec,
                     const ParameterSet& parameters);

/// Fills the parameters of the adapter that was made of the opened method. Errors: as load_adapter.
void read_values(const StoredAdapter& stored, const Adapter& adapter, const Checkpoint& base);

}  // namespace lowrank
