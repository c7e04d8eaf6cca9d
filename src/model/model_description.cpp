#include "model/model_description.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/one_line.h"
#include "model/label_config.h"
#include "model/registry.h"

namespace lowrank {
namespace {

/// A file larger than this is not a config.json.
constexpr int64_t max_config_bytes = 16 << 20;

/// Distinguishes a folder that only has GGUF files from one that is no model at all.
void check_is_model_folder(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / "config.json")) return;
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".gguf") files.push_back(entry.path().string());
  }
  std::ranges::sort(files);
  const std::string hint =
      files.empty() ? "a model is a Hugging Face folder with config.json and safetensors, or a GGUF file"
                    : "give the GGUF file itself: " + one_line(files.front());
  throw Error(
      ErrorKind::not_found,
      fmt::format(
          "{}: the folder has no config.json{}", folder.string(),
          files.empty() ? "" : fmt::format(", but {} of GGUF", files.size() == 1 ? "a file" : "files")),
      hint);
}

bool is_known(std::string_view name, std::span<const std::string_view> FamilyInfo::*names) {
  return std::ranges::any_of(families(), [&](const FamilyInfo* family) {
    return std::ranges::find(family->*names, name) != (family->*names).end();
  });
}

/// After this check, sizes can be counted in 64 bits.
void check_size(const ModelSpec& spec) {
  constexpr double most = 1e15;
  double values = 0;
  for (const TensorRef& tensor : spec.tensors) {
    double product = 1;
    for (const int64_t extent : tensor.shape) product *= static_cast<double>(extent);
    values += product;
  }
  check(values <= most, ErrorKind::invalid,
        "config: the model would have {:.3g} parameters; one of the sizes must be wrong", values);
}

}  // namespace

ModelDescription open_description(const std::filesystem::path& path, const std::optional<LabelSet>& labels) {
  check(std::filesystem::exists(path), ErrorKind::not_found, "{}: no such file or folder", path.string());
  ModelDescription opened;
  nlohmann::json config;
  std::string where = path.string();
  if (std::filesystem::is_directory(path)) {
    const std::filesystem::path file = path / "config.json";
    where = file.string();
    check_is_model_folder(path);
    config = read_json_file(file, max_config_bytes);
    const auto type = config.find("model_type");
    check(type != config.end() && type->is_string(), ErrorKind::invalid, "{}: no model_type", where);
    if (!is_known(type->get<std::string>(), &FamilyInfo::model_types))
      throw unknown_model(path, type->get<std::string>(), config, nullptr);
    opened.family = &family_of_model_type(type->get<std::string>(), where);
  } else {
    opened.gguf = GgufFile::open(path);
    const auto architecture = opened.gguf->find<std::string>("general.architecture");
    check(architecture.has_value(), ErrorKind::invalid, "{}: no general.architecture", where);
    if (!is_known(*architecture, &FamilyInfo::gguf_architectures))
      throw unknown_model(path, *architecture, nullptr, &*opened.gguf);
    opened.family = &family_of_gguf(*architecture, where);
    config = opened.family->config_from_gguf(*opened.gguf);
    // Several families may have files of one architecture.
    opened.family = &family_of_model_type(config.at("model_type").get<std::string>(), where);
  }
  if (labels) {
    check(!opened.family->classifier.empty(), ErrorKind::unsupported,
          "{}: rows with labels need an encoder such as BERT; the family {} has no label head", where,
          opened.family->name);
    set_labels(config, *labels, opened.family->classifier);
  }
  try {
    opened.spec = opened.family->spec(config);
    check_size(opened.spec);
  } catch (const Error& error) {
    throw Error(error.kind(), where + ": " + error.what(), error.hint());
  }
  if (opened.gguf) opened.spec.gguf_architecture = opened.gguf->get<std::string>("general.architecture");
  return opened;
}

}  // namespace lowrank
