#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

namespace lowrank {

struct Adapter;

/// A tensor of the adapter file.
struct FileTensor {
  std::string name;
  at::Tensor value;
};

/// What a training run leaves behind. Checkpoints within a run are adapters always.
enum class Output {
  adapter,            ///< the two files of `save_adapter`
  adapter_and_model,  ///< those, and the merged model
  model,              ///< the merged model alone: an adapter would be as large
};

/// The two files of an adapter folder; as they are here, PEFT's.
struct AdapterFileNames {
  std::string_view config = "adapter_config.json";
  std::string_view tensors = "adapter_model.safetensors";
  std::string_view base_key = "base_model_name_or_path";  ///< in the configuration: the base model's name
  bool peft = true;                                       ///< PEFT's common fields stand in the configuration
  std::string_view library = "peft";                      ///< that loads them; empty: this program alone does
};

/// Files in PEFT's form, of a type that it does not know.
inline constexpr AdapterFileNames own_files{.library = ""};

/// How the adapters of one method lie on disk: the configuration that holds its options, the tensors that
/// hold its parameters, and what lies beside. One of the three roles of a method (peft/method.h); what it
/// does not override is as PEFT has it: the parameters themselves, and nothing beside.
struct AdapterForm {
  virtual ~AdapterForm() = default;

  /// The names of the adapter's files.
  virtual AdapterFileNames names() const { return {}; }
  /// The configuration as PEFT (or whoever reads these files) writes it, for what `file_tensors` gives.
  virtual nlohmann::json config() const = 0;
  /// The options from such a configuration; before `Method::plan`. Errors: unsupported or invalid, all fields
  /// that cannot be honoured at once.
  virtual void read_config(const nlohmann::json& config, const std::string& where) = 0;
  /// What is written beside it, from the tensors of the plan (parameters, then copies).
  virtual std::vector<FileTensor> file_tensors(std::vector<FileTensor> planned) const { return planned; }
  /// The tensor of that file which an encoder computes from parameters that the file lacks; they then stand
  /// in a file of their own (peft/encoder_state.h). Empty: there is no encoder.
  virtual std::string_view encoded_tensor() const { return {}; }
  /// Before `Method::plan`: the encoder's parameters are lost, so the encoded tensor is itself what trains.
  virtual void drop_encoder() {}
  /// Writes what the adapter needs beside its two files; `base` is the base model's name. Errors: io,
  /// invalid.
  virtual void save_beside(const std::filesystem::path& /*folder*/, const std::string& /*base*/) const {}
  /// The adapters that this one is made of, each with a folder of its own; nullptr: it is one itself.
  virtual const std::vector<Adapter>* parts() const { return nullptr; }
  /// What `train` writes at the end.
  virtual Output output() const { return Output::adapter; }
};

}  // namespace lowrank
