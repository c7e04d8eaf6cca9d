#include "peft/files/embedding_adapter.h"

#include <vector>

#include "base/json.h"
#include "peft/files/adapter_folder.h"

namespace lowrank {
namespace {

constexpr int64_t max_config_bytes = 16 << 20;

/// Turns the files of an adapter, or of each of several side by side, into those of a model without head.
void leave_head_out(const std::filesystem::path& folder, const Adapter& adapter, const std::string& prefix) {
  if (const std::vector<Adapter>* parts = adapter.method->form().parts()) {
    for (const Adapter& part : *parts) leave_head_out(folder / std::string(part.info->name), part, prefix);
    return;
  }
  const AdapterFileNames names = adapter.method->form().names();
  if (!names.peft) return;
  nlohmann::json config = read_json_file(folder / names.config, max_config_bytes);
  config["task_type"] = "FEATURE_EXTRACTION";
  const std::string start = "base_model.model.", whole = start + prefix;
  std::vector<FileTensor> tensors = file_tensors(adapter);
  for (FileTensor& tensor : tensors) {
    if (tensor.name.starts_with(whole)) tensor.name = start + tensor.name.substr(whole.size());
  }
  write_adapter_files(folder, names, config, tensors);
}

}  // namespace

void write_embedding_adapter(const std::filesystem::path& folder, const Adapter& adapter,
                             const std::string& base) {
  write_adapter(folder, adapter, base);
  leave_head_out(folder, adapter, adapter.base->spec().optional_prefix);
}

void save_embedding_adapter(const std::filesystem::path& folder, const Adapter& adapter,
                            const std::string& base) {
  replace_adapter(folder,
                  [&](const std::filesystem::path& fresh) { write_embedding_adapter(fresh, adapter, base); });
}

}  // namespace lowrank
