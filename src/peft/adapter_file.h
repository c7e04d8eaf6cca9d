#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peft/method.h"
#include "peft/parameters.h"

namespace lowrank {

struct AdapterContents;

/// A method with its parameters on one model.
struct Adapter {
  const MethodInfo* info = nullptr;
  std::unique_ptr<Method> method;
  TrainPlan plan;
  std::unique_ptr<ParameterSet> parameters;
  std::optional<LabelSet> labels;       ///< of the model's label head
  std::vector<std::string> notes = {};  ///< what the adapter's files say to no effect; sentences for people
  std::shared_ptr<const Checkpoint> base = nullptr;  ///< whose names and values the method refers to
};

/// What a configured method would train, without parameters. Errors: as Method::plan.
Adapter plan_adapter(const MethodInfo& info, std::unique_ptr<Method> method, const ModelSpec& spec);

/// Trained values in all parameters of a plan.
int64_t parameter_count(const TrainPlan& plan);

/// How a model must hold its tensors for a plan: `LoadOptions::use`.
std::function<Use(const TensorRef&)> uses_of(const TrainPlan& plan);

/// Makes the parameters of a planned adapter and binds them; values are zero.
void give_parameters(Adapter& adapter, const Checkpoint& base, at::ScalarType type = at::kFloat);

/// The same for training: plans a configured method and gives it parameters. Errors: as Method::plan; invalid
/// when they and what the optimizer keeps of them are more than the machine's memory.
Adapter make_adapter(const MethodInfo& info, std::unique_ptr<Method> method, const Checkpoint& base,
                     at::ScalarType type = at::kFloat);

/// Reads an adapter: a folder as PEFT writes it (adapter_config.json and adapter_model.safetensors), one of
/// AdapterHub or mlx-lm, a GGUF LoRA, or methods side by side (peft/side_by_side.h). Strict: missing,
/// unexpected and misshapen tensors and values that are not finite are reported all at once, with the nearest
/// names, before anything is allocated by what the configuration says. Names may be those of PEFT's memory
/// (`lora_A.default.weight`) or leave out the model's optional prefix. The base's own embedding or head,
/// which PEFT may put into the file, must equal the base's. Errors: not_found, corrupt, invalid, unsupported.
Adapter load_adapter(const std::filesystem::path& path, const Checkpoint& base,
                     at::ScalarType type = at::kFloat);

/// The tensors that `save_adapter` writes.
std::vector<FileTensor> file_tensors(const Adapter& adapter);

/// Writes tensors in f32 (integers in int32) as a safetensors file. Errors: io; invalid when a value is not
/// finite.
void write_file_tensors(const std::filesystem::path& path, const std::vector<FileTensor>& file_tensors);

/// Writes an adapter's two files to a new folder. Errors: as write_file_tensors.
void write_adapter_files(const std::filesystem::path& folder, const AdapterFileNames& files,
                         const nlohmann::json& config, const std::vector<FileTensor>& tensors);

/// The same for an adapter with all that belongs to it: labels.json for a label head, the parameters of an
/// encoder where the method has one (peft/encoder_state.h), what `AdapterForm::save_beside` writes. `base`:
/// what the configuration will call the base model.
void write_adapter(const std::filesystem::path& folder, const Adapter& adapter, const std::string& base);

/// The same in place of an adapter that `folder` may hold: what is read there is the old one or the new one
/// at any time (peft/adapter_folder.h). Errors: as write_adapter; the old one is then untouched.
void save_adapter(const std::filesystem::path& folder, const Adapter& adapter, const std::string& base);

/// The bytes of the tensors' file (or files) that was written for `adapter`, for sizes that are told to
/// people.
int64_t adapter_file_size(const std::filesystem::path& folder, const Adapter& adapter);

}  // namespace lowrank
