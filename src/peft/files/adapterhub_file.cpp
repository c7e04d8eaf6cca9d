#include "peft/files/adapterhub_file.h"

#include "base/error.h"
#include "base/json.h"

namespace lowrank {
namespace {

constexpr int64_t max_config_bytes = 16 << 20;

/// Rejects a pickle if `tensors` is missing, with the command that converts it.
void check_not_pickled(const std::filesystem::path& tensors, const char* pickle) {
  const std::filesystem::path file = tensors.parent_path() / pickle;
  if (std::filesystem::exists(tensors) || !std::filesystem::exists(file)) return;
  throw Error(ErrorKind::unsupported, file.string() + ": pickled adapters are never read",
              fmt::format("convert it with Python: python -c \"import torch; from safetensors.torch import "
                          "save_file; save_file({{k: v.clone().contiguous() for k, v in torch.load('{}', "
                          "weights_only=True).items()}}, '{}')\"",
                          file.string(), tensors.string()));
}

void add_tensors(AdapterContents& contents, const std::filesystem::path& folder,
                 const AdapterFileNames& files, const char* pickle, const ModelSpec& spec) {
  const std::filesystem::path tensors = folder / files.tensors;
  check_not_pickled(tensors, pickle);
  contents.add(tensors, [&](const std::string& name) {
    return name.starts_with(spec.optional_prefix) ? name : spec.optional_prefix + name;
  });
}

AdapterContents described(const std::filesystem::path& folder, const AdapterFileNames& files) {
  AdapterContents contents;
  contents.config_name = (folder / files.config).string();
  contents.tensors_name = (folder / files.tensors).string();
  contents.config = read_json_file(contents.config_name, max_config_bytes);
  return contents;
}

bool is_fusion(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / fusion_files.config);
}

}  // namespace

bool is_adapterhub_folder(const std::filesystem::path& folder) {
  if (is_fusion(folder)) return true;
  const std::filesystem::path path = folder / adapterhub_files.config;
  if (!std::filesystem::exists(path)) return false;
  const nlohmann::json config = read_json_file(path, max_config_bytes);
  return config.is_object() && config.contains("config") && !config.contains("peft_type");
}

bool has_head(const std::filesystem::path& folder) {
  check_not_pickled(folder / head_files.tensors, "pytorch_model_head.bin");
  return std::filesystem::exists(folder / head_files.tensors);
}

AdapterContents read_member(const std::filesystem::path& folder, const ModelSpec& spec) {
  AdapterContents contents = described(folder, adapterhub_files);
  add_tensors(contents, folder, adapterhub_files, "pytorch_adapter.bin", spec);
  return contents;
}

AdapterContents read_adapterhub_folder(const std::filesystem::path& folder, const ModelSpec& spec) {
  AdapterContents contents;
  if (is_fusion(folder)) {
    contents = described(folder, fusion_files);
    add_tensors(contents, folder, fusion_files, "pytorch_model_adapter_fusion.bin", spec);
    const nlohmann::json names = contents.config.value("adapter_names", nlohmann::json::array());
    for (const nlohmann::json& name : names) {
      if (!name.is_string()) continue;
      add_tensors(contents, member_folder(folder, name.get<std::string>()), adapterhub_files,
                  "pytorch_adapter.bin", spec);
    }
  } else {
    contents = read_member(folder, spec);
  }
  if (spec.labels && has_head(folder)) contents.add(folder / head_files.tensors, {});
  return contents;
}

nlohmann::json read_member_config(const std::filesystem::path& folder) {
  return read_json_file(folder / adapterhub_files.config, max_config_bytes);
}

std::filesystem::path member_folder(const std::filesystem::path& folder, const std::string& name) {
  check_adapter_name(name, folder.string());
  const std::filesystem::path whole = std::filesystem::absolute(folder).lexically_normal();
  const std::filesystem::path beside = (whole.has_filename() ? whole : whole.parent_path()).parent_path();
  for (const std::filesystem::path& place : {folder / name, beside / name}) {
    if (std::filesystem::exists(place / adapterhub_files.config)) return place;
  }
  fail(ErrorKind::not_found, "{}: the member {} lies neither in this folder nor beside it", folder.string(),
       name);
}

nlohmann::json adapterhub_config(const nlohmann::json& config, const ModelSpec& spec,
                                 const std::string& name) {
  return {{"config", config},
          {"hidden_size", spec.hidden_size},
          {"model_class", spec.model_class()},
          {"model_type", spec.config.value("model_type", "")},
          {"name", name},
          {"version", "adapters.1.3.0"}};
}

std::string read_adapter_name(const nlohmann::json& config, const std::string& where) {
  check(config.contains("name") && config["name"].is_string(), ErrorKind::invalid,
        "{}: the adapter has no name", where);
  const auto name = config["name"].get<std::string>();
  check_adapter_name(name, where);
  return name;
}

void check_adapter_name(const std::string& name, const std::string& where) {
  check(!name.empty() && name.find_first_of(".,/") == std::string::npos, ErrorKind::invalid,
        "{}: the adapter's name \"{}\" must be a name without dots, commas and slashes", where, name);
}

}  // namespace lowrank
