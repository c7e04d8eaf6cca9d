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

/// What a training run produces. Checkpoints within a run are always adapters.
enum class Output {
  adapter,            ///< the two files of `save_adapter`
  adapter_and_model,  ///< both, and the merged model
  model,              ///< the merged model alone: an adapter would be as large
};

/// The two files of an adapter folder; the defaults are PEFT's.
struct AdapterFileNames {
  std::string_view config = "adapter_config.json";
  std::string_view tensors = "adapter_model.safetensors";
  std::string_view base_key = "base_model_name_or_path";  ///< in the configuration: the base model's name
  bool peft = true;                                       ///< the configuration has PEFT's common fields
  std::string_view library = "peft";  ///< the library that loads them; empty: only this program does
};

/// Files in PEFT's format, of a type that PEFT does not know.
inline constexpr AdapterFileNames own_files{.library = ""};

/// How the adapters of one method are stored on disk: the configuration with its options, the tensors with
/// its parameters, and any further files. One of the three roles of a method (peft/core/method.h); the
/// defaults are PEFT's: the parameters themselves, and no further files.
struct AdapterForm {
  virtual ~AdapterForm() = default;

  /// The names of the adapter's files.
  virtual AdapterFileNames names() const { return {}; }
  /// The configuration as PEFT (or whichever library reads these files) writes it, for what `file_tensors`
  /// returns.
  virtual nlohmann::json config() const = 0;
  /// Reads the options from such a configuration; before `Method::plan`. Errors: unsupported or invalid,
  /// listing all fields that cannot be honoured.
  virtual void read_config(const nlohmann::json& config, const std::string& where) = 0;
  /// The tensors to write, from those of the plan (parameters, then copies).
  virtual std::vector<FileTensor> file_tensors(std::vector<FileTensor> planned) const { return planned; }
  /// The tensor in the file that an encoder computes from parameters not stored there; these are in a
  /// separate file (peft/files/encoder_state.h). Empty: there is no encoder.
  virtual std::string_view encoded_tensor() const { return {}; }
  /// Called before `Method::plan` when the encoder's parameters are missing: the encoded tensor itself is
  /// trained.
  virtual void drop_encoder() {}
  /// Writes what the adapter needs besides its two files; `base` is the base model's name. Errors: io,
  /// invalid.
  virtual void save_beside(const std::filesystem::path& /*folder*/, const std::string& /*base*/) const {}
  /// The adapters that this one consists of, each with its own folder; nullptr: it is a single adapter.
  virtual const std::vector<Adapter>* parts() const { return nullptr; }
  /// What `train` writes at the end.
  virtual Output output() const { return Output::adapter; }
};

}  // namespace lowrank
