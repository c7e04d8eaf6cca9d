#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peft/core/method.h"
#include "peft/core/parameters.h"

namespace lowrank {

struct AdapterContents;

/// A method with its parameters on one model.
struct Adapter {
  const MethodInfo* info = nullptr;
  std::unique_ptr<Method> method;
  TrainPlan plan;
  std::unique_ptr<ParameterSet> parameters;
  std::optional<LabelSet> labels;       ///< of the model's label head
  std::vector<std::string> notes = {};  ///< what in the adapter's files has no effect; sentences for messages
  std::shared_ptr<const Checkpoint> base = nullptr;  ///< whose names and values the method uses
};

/// What a configured method would train; no parameters are created. Errors: as Method::plan.
Adapter plan_adapter(const MethodInfo& info, std::unique_ptr<Method> method, const ModelSpec& spec);

/// The number of trained values in a plan.
int64_t parameter_count(const TrainPlan& plan);

/// How a model must hold its tensors for a plan, for `LoadOptions::use`.
std::function<TensorUse(const TensorRef&)> uses_of(const TrainPlan& plan);

/// Creates the parameters of a planned adapter and binds them.
void give_parameters(Adapter& adapter, const Checkpoint& base, at::ScalarType type = at::kFloat,
                     InitialValues initial = InitialValues::zero);

/// Moves the parameters to a device and binds them anew. What comes from a seed or a file is made on the CPU
/// first, so that it is the same on every device. Before the adapter's first step, and before `set_state`.
void move_adapter(Adapter& adapter, at::Device device);

/// Plans a configured method and creates its parameters, for training. Errors: as Method::plan; invalid when
/// the parameters and their optimizer state exceed the machine's memory.
Adapter make_adapter(const MethodInfo& info, std::unique_ptr<Method> method, const Checkpoint& base,
                     at::ScalarType type = at::kFloat);

/// Reads an adapter: a PEFT folder (adapter_config.json and adapter_model.safetensors), an AdapterHub or
/// mlx-lm folder, a GGUF LoRA, or methods side by side (peft/files/side_by_side.h). Strict: all missing,
/// unexpected and misshapen tensors are reported together, with the nearest names, before anything is
/// allocated as the configuration demands; then tensors with values that are not finite. Names may be PEFT's
/// in-memory ones
/// (`lora_A.default.weight`) or omit the model's optional prefix. A copy of the base's embedding or head,
/// which PEFT may put into the file, must equal the base's. Errors: not_found, corrupt, invalid, unsupported.
Adapter load_adapter(const std::filesystem::path& path, const Checkpoint& base,
                     at::ScalarType type = at::kFloat);

/// The tensors that `save_adapter` writes.
std::vector<FileTensor> file_tensors(const Adapter& adapter);

/// Writes tensors in f32 (integers in int32) as a safetensors file. Errors: io; invalid when a value is not
/// finite.
void write_file_tensors(const std::filesystem::path& path, const std::vector<FileTensor>& file_tensors);

/// Writes an adapter's two files to `folder`. Errors: as write_file_tensors.
void write_adapter_files(const std::filesystem::path& folder, const AdapterFileNames& files,
                         const nlohmann::json& config, const std::vector<FileTensor>& tensors);

/// Writes an adapter with everything that belongs to it: labels.json for a label head, the parameters of the
/// method's encoder, if any (peft/files/encoder_state.h), and what `AdapterForm::save_beside` writes. `base`:
/// the base model's name in the configuration.
void write_adapter(const std::filesystem::path& folder, const Adapter& adapter, const std::string& base);

/// The same, replacing an adapter that `folder` may hold: a reader sees either the old or the new one at any
/// time (peft/files/adapter_folder.h). Errors: as write_adapter; the old adapter is then untouched.
void save_adapter(const std::filesystem::path& folder, const Adapter& adapter, const std::string& base);

/// The size in bytes of the tensor file (or files) written for `adapter`, for reports.
int64_t adapter_file_size(const std::filesystem::path& folder, const Adapter& adapter);

}  // namespace lowrank
