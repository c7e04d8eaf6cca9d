#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "peft/files/adapter_contents.h"
#include "peft/files/adapter_file.h"

namespace lowrank {

/// An adapter's opened files and the method that they configure, not planned yet.
struct StoredAdapter {
  AdapterContents contents;
  const MethodInfo* info = nullptr;
  std::unique_ptr<Method> method;
  std::optional<StoredTensor>
      encoded;        ///< what the method's encoder must return (peft/files/encoder_state.h)
  std::string where;  ///< the file of `encoded`
};

/// Errors: as load_adapter, but for the values.
StoredAdapter open_adapter(const std::filesystem::path& path, const ModelSpec& spec);

/// Checks an adapter's tensors against the plan of its method, before parameters are created, and renames
/// those that have another of PEFT's names to the plan's. Returns what in the files has no effect, for
/// messages. Errors: as load_adapter, except those about values.
std::vector<std::string> check_tensors(StoredAdapter& stored, const TrainPlan& plan, const ModelSpec& spec);

/// Reads exactly a plan's tensors into its parameters. Errors: as load_adapter.
void load_parameters(const AdapterContents& contents, const TrainPlan& plan, const ModelSpec& spec,
                     const ParameterSet& parameters);

/// Fills the parameters of the adapter that was created from the opened method. Errors: as load_adapter.
void read_values(const StoredAdapter& stored, const Adapter& adapter, const Checkpoint& base);

}  // namespace lowrank
