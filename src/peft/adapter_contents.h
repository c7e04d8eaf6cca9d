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
#include "peft/low_rank_form.h"

namespace lowrank {

/// What an adapter's two files say, wherever it was read from.
struct AdapterContents {
  nlohmann::json config;  ///< adapter_config.json, but that patterns are lists of pairs, in the file's order
  std::map<std::string, StoredTensor, std::less<>> tensors;  ///< by name
  std::string config_name, tensors_name;                     ///< the files, for errors

  std::vector<std::shared_ptr<const SafetensorsFile>>
      files;                       ///< whose mappings the tensors' bytes are in, or
  std::vector<at::Tensor> values;  ///< whose storage they are in

  /// Takes in all tensors of a file; `rename`, where it is given, says under which names.
  void add(const std::filesystem::path& safetensors,
           const std::function<std::string(const std::string&)>& rename = nullptr);

  /// The tensor of that name; nullptr where there is none.
  const StoredTensor* find(std::string_view name) const;
};

/// Reads an adapter's files: a GGUF LoRA (FILE.gguf), a folder of mlx-lm (adapters.safetensors), one of
/// AdapterHub or one of PEFT. Errors: not_found; corrupt; unsupported for pickled adapters and other kinds of
/// files; invalid where a GGUF LoRA or an mlx-lm adapter does not fit the model.
AdapterContents read_adapter(const std::filesystem::path& path, const ModelSpec& spec);

/// An adapter that is nothing but these updates, of which there is one at least. `tied`: the updates of an
/// embedding hold for the head that is tied to it, too.
AdapterContents contents_of(const std::vector<LowRankUpdate>& updates, const ModelSpec& spec, bool tied,
                            double dropout = 0);

/// Throws invalid, with the first problems and the count of the others, unless there are none.
void check_fits(const std::vector<std::string>& problems, const std::string& where, std::string_view what,
                const std::string& hint = {});

}  // namespace lowrank
