#include "peft/merge/model_description.h"

#include <algorithm>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "base/mmap_file.h"
#include "base/staged_folder.h"
#include "formats/model_folder.h"
#include "tokenizer/files/tokenizer_gguf.h"
#include "tokenizer/files/tokenizer_json.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

/// Larger than the tokenizer of any supported model.
constexpr uintmax_t most_bytes = 64 << 20;
constexpr int64_t max_modules_bytes = 1 << 20;

/// True for the kinds of files that describe a model, except those that are written anew.
bool is_copied(const std::string& name) {
  const bool describes = name.ends_with(".json") || name.ends_with(".txt") || name.ends_with(".jinja") ||
                         name.ends_with(".model");
  return describes && !is_configuration(name) && !name.ends_with(".index.json");
}

/// The folders in which sentence-transformers keeps its modules.
std::vector<std::string> module_folders(const fs::path& model) {
  std::vector<std::string> folders;
  if (!fs::exists(model / "modules.json")) return folders;
  for (const nlohmann::json& module : read_json_file(model / "modules.json", max_modules_bytes)) {
    const std::string path =
        module.is_object() && module.contains("path") && module["path"].is_string() ? module["path"] : "";
    const bool plain = !path.empty() && path != "." && path != ".." && path.find('/') == std::string::npos &&
                       path.find('\0') == std::string::npos;
    if (plain) folders.push_back(path);
  }
  return folders;
}

/// False if the file is outside the model's folder or too large.
bool copy_from(const fs::path& model, const fs::path& name, const fs::path& folder) {
  const std::optional<fs::path> file = file_in_model(model, name);
  if (!file || fs::file_size(*file) > most_bytes) return false;
  make_folders((folder / name).parent_path());
  AtomicFile copy(folder / name);
  copy.write(MmapFile::open(*file).bytes());
  copy.commit();
  return true;
}

std::vector<std::string> copy_files(const fs::path& model, const fs::path& folder) {
  std::vector<fs::path> names;
  for (const auto& entry : fs::directory_iterator(model)) {
    if (entry.is_regular_file() && is_copied(entry.path().filename().string()))
      names.push_back(entry.path().filename());
  }
  for (const std::string& module : module_folders(model)) {
    // Those of a dense layer have weights, too.
    for (const char* name : {"config.json", "model.safetensors"}) {
      if (fs::is_regular_file(model / module / name)) names.push_back(fs::path(module) / name);
    }
  }
  std::ranges::sort(names);
  std::vector<std::string> left_out;
  for (const fs::path& name : names) {
    if (!copy_from(model, name, folder)) left_out.push_back(name.string());
  }
  return left_out;
}

void write_tokenizer(const TokenizerSpec& spec, nlohmann::json& config, const fs::path& folder) {
  write_file_atomically(folder / "tokenizer.json", tokenizer_json(spec).dump() + "\n");
  write_file_atomically(folder / "tokenizer_config.json", tokenizer_config_json(spec).dump(2) + "\n");
  nlohmann::json generation = nlohmann::json::object();
  if (spec.bos) config["bos_token_id"] = generation["bos_token_id"] = *spec.bos;
  if (spec.eos) config["eos_token_id"] = *spec.eos;
  generation["eos_token_id"] = spec.end_tokens;
  write_file_atomically(folder / "generation_config.json", generation.dump(2) + "\n");
}

}  // namespace

void check_describable(const Checkpoint& base, const std::string& what) {
  if (!base.gguf()) return;
  try {
    tokenizer_json(tokenizer_spec_from_gguf(*base.gguf()));
  } catch (const Error& error) {
    throw Error(
        ErrorKind::unsupported,
        fmt::format("{}: a Hugging Face folder needs a tokenizer, and that of the base cannot be "
                    "written: {}",
                    what, error.what()),
        error.hint().empty() ? "merge into a GGUF file instead, or train with `export` gguf" : error.hint());
  }
}

std::vector<std::string> write_description(const Checkpoint& base, bool untied, bool quantised,
                                           const fs::path& folder) {
  nlohmann::json config = base.spec().config;
  if (untied) config["tie_word_embeddings"] = false;
  if (!quantised) config.erase("quantization_config");
  std::vector<std::string> left_out;
  if (base.gguf())
    write_tokenizer(tokenizer_spec_from_gguf(*base.gguf()), config, folder);
  else
    left_out = copy_files(base.path(), folder);
  write_file_atomically(folder / "config.json", config.dump(2) + "\n");
  return left_out;
}

}  // namespace lowrank
