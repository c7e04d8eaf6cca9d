#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace lowrank {

/// What is known of an adapter from its files.
struct ListedAdapter {
  std::string path, name;
  std::string method;                         ///< of this program, several joined with +
  std::string base;                           ///< the base model's name in the files; may be empty
  std::string architecture;                   ///< of the base, where a GGUF LoRA tells no more of it
  int64_t lowest_rank = 0, highest_rank = 0;  ///< 0: the method has none
  std::vector<std::string> targets;  ///< last parts of the names of the adapted modules, or what names them
  int64_t bytes = 0;                 ///< of its tensor files
  int64_t parameters = 0;            ///< values in them
  std::optional<double> norm;        ///< Frobenius norm of the update of all weights together
  std::string note;     ///< why the base does not tell the norm; empty: it does, or is not needed
  std::string problem;  ///< why it cannot be used; empty: nothing was found
};

/// Finds the adapters in each of the places: the place itself (a folder of PEFT, AdapterHub or mlx-lm, a GGUF
/// LoRA), or everything of these kinds in the folder one level below. Folders without an adapter's files and
/// GGUF files of models are left out. The norm is that of s B A; for adapters that change weights otherwise
/// it takes the base's values from `model` (empty: they get none). Adapters that cannot be read have a
/// `problem`, those of another base a `note`. Errors: not_found for a place that does not exist; io; as
/// Checkpoint::open for the model; interrupted.
std::vector<ListedAdapter> list_adapters(const std::vector<std::string>& places, const std::string& model);

/// The list as an array of objects.
nlohmann::ordered_json json_of(const std::vector<ListedAdapter>& adapters);

/// The list as a table, with the adapters that have a problem in lines below it.
std::string table_of(const std::vector<ListedAdapter>& adapters);

}  // namespace lowrank
