#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "formats/safetensors.h"
#include "peft/core/low_rank_form.h"

namespace lowrank {

/// The contents of an adapter's two files, in whatever format it was stored.
struct AdapterContents {
  nlohmann::json config;  ///< adapter_config.json, with patterns as lists of pairs in the file's order
  std::map<std::string, StoredTensor, std::less<>> tensors;  ///< by name
  std::string config_name, tensors_name;                     ///< the files, for errors

  std::vector<std::shared_ptr<const SafetensorsFile>>
      files;                       ///< whose mappings the tensors' bytes are in, or
  std::vector<at::Tensor> values;  ///< whose storage they are in

  /// Adds all tensors of a file, under the names that `rename` returns if it is given.
  void add(const std::filesystem::path& safetensors,
           const std::function<std::string(const std::string&)>& rename = nullptr);

  /// The tensor of that name; nullptr if there is none.
  const StoredTensor* find(std::string_view name) const;
};

/// Reads an adapter's files: a GGUF LoRA (FILE.gguf), a folder written by mlx-lm (adapters.safetensors),
/// AdapterHub or PEFT. Errors: not_found; corrupt; unsupported for pickled adapters and other kinds of files;
/// invalid when a GGUF LoRA or an mlx-lm adapter does not fit the model.
AdapterContents read_adapter(const std::filesystem::path& path, const ModelSpec& spec);

/// An adapter that consists of these updates, of which there must be at least one. `tied`: updates of an
/// embedding also apply to the head that is tied to it.
AdapterContents contents_of(const std::vector<LowRankUpdate>& updates, const ModelSpec& spec, bool tied,
                            double dropout = 0);

/// Throws invalid if there are problems, naming the first few and the number of the others.
void check_fits(const std::vector<std::string>& problems, const std::string& where, std::string_view what,
                const std::string& hint = {});

}  // namespace lowrank
