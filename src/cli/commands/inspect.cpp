// lowrank inspect: what a model, an adapter or a tensor file holds.
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/one_line.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "formats/gguf.h"
#include "formats/safetensors_index.h"
#include "model/checkpoint.h"
#include "session/places.h"
#include "session/summary/model_summary.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

struct Contents {
  Json about = Json::object();
  std::vector<StoredTensor> tensors;
  std::optional<ModelSummary> model = {};  ///< of a model's files
};

Json shown(const GgufValue& value) {
  return std::visit(
      [](const auto& held) -> Json {
        if constexpr (requires {
                        held.size();
                        held.begin();
                      } &&
                      !std::is_same_v<std::decay_t<decltype(held)>, std::string_view>) {
          return fmt::format("[{} values]", held.size());
        } else {
          return held;
        }
      },
      value);
}

void describe_gguf(const std::filesystem::path& path, Contents& contents) {
  const GgufFile file = GgufFile::open(path);
  const std::map<std::string_view, GgufValue> sorted(file.metadata().begin(), file.metadata().end());
  for (const auto& [key, value] : sorted) contents.about[std::string(key)] = shown(value);
  contents.tensors = file.tensors();
  // Adapters and control vectors are GGUF files, too.
  if (file.find<std::string>("general.type").value_or("model") != "model") return;
  try {
    contents.model = summarise_model(read_spec(path), contents.tensors);
  } catch (const Error& error) {
    warn("{}", error.what());
  }
}

void describe_folder(const std::filesystem::path& path, Contents& contents) {
  // PEFT's files, mlx-lm's, AdapterHub's and those of its fusions.
  for (const auto& [config, tensors] : {std::pair{"adapter_config.json", "adapter_model.safetensors"},
                                        {"adapter_config.json", "adapters.safetensors"},
                                        {"adapter_config.json", "adapter.safetensors"},
                                        {"adapter_fusion_config.json", "model_adapter_fusion.safetensors"}}) {
    if (!std::filesystem::exists(path / config) || !std::filesystem::exists(path / tensors)) continue;
    contents.about = read_json_file(path / config, 16 << 20);
    contents.tensors = SafetensorsFile::open(path / tensors).tensors();
    return;
  }
  const ModelSpec spec = read_spec(path);
  contents.about = spec.config;
  contents.about["parameters"] = spec.parameters();
  if (!spec.other_towers.empty()) contents.about["not used"] = spec.other_towers;
  contents.tensors = SafetensorsIndex::open(path).tensors();
  contents.model = summarise_model(spec, contents.tensors);
}

bool begins_as_gguf(const std::filesystem::path& path) {
  std::array<char, 4> magic{};
  std::ifstream(path, std::ios::binary).read(magic.data(), magic.size());
  return std::string_view(magic.data(), magic.size()) == "GGUF";
}

Contents describe(const std::filesystem::path& path) {
  check(std::filesystem::exists(path), ErrorKind::not_found, "{}: no such file or folder", path.string());
  Contents contents;
  if (std::filesystem::is_directory(path)) {
    describe_folder(path, contents);
  } else if (path.extension() == ".safetensors") {
    const SafetensorsFile file = SafetensorsFile::open(path);
    for (const auto& [key, value] : file.metadata()) contents.about[key] = value;
    contents.tensors = file.tensors();
  } else {
    check(path.extension() == ".gguf" || begins_as_gguf(path), ErrorKind::unsupported,
          "{}: inspect reads folders of models and adapters, .safetensors and GGUF files; this is none",
          path.string());
    describe_gguf(path, contents);
  }
  return contents;
}

Json to_json(const Contents& contents) {
  Json tensors = Json::array();
  for (const StoredTensor& tensor : contents.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"type", info_of(tensor.dtype).name},
                       {"shape", tensor.shape},
                       {"bytes", tensor.bytes.size()}});
  }
  Json json = {{"about", contents.about}};
  if (contents.model) json["model"] = contents.model->to_json();
  json["tensors"] = std::move(tensors);
  return json;
}

/// "q_proj (2), v_proj (2)"
std::string listed(const std::vector<ModelParts>& parts) {
  std::vector<std::string> words;
  words.reserve(parts.size());
  for (const ModelParts& part : parts)
    words.push_back(fmt::format("{} ({})", one_line(part.name), part.count));
  return fmt::format("{}", fmt::join(words, ", "));
}

void print(const ModelSummary& model) {
  std::cout << fmt::format("{:<44} {}\n", "family", model.family);
  std::cout << fmt::format("{:<44} {}\n", "adapted by default (" + model.method + ")",
                           model.adapted.empty()
                               ? "nothing: " + one_line(model.why_none)
                               : fmt::format("{}: {} parameters", listed(model.adapted), model.trained));
  for (const LeftOut& left : model.left_out)
    std::cout << fmt::format("{:<44} {}: {}\n", "left out", left.why, listed(left.parts));
}

void print(const Contents& contents, bool all) {
  for (const auto& [key, value] : contents.about.items()) {
    std::string text = value.is_string() ? value.get<std::string>() : json_text(value);
    std::ranges::replace(text, '\n', ' ');
    std::cout << fmt::format("{:<44} {}\n", one_line(key), one_line(text, 77));
  }
  std::map<std::string_view, std::pair<int64_t, int64_t>> by_type;
  for (const StoredTensor& tensor : contents.tensors) {
    auto& [count, bytes] = by_type[info_of(tensor.dtype).name];
    ++count;
    bytes += static_cast<int64_t>(tensor.bytes.size());
    if (all)
      std::cout << fmt::format("{:<64} {:<7} [{}]\n", one_line(tensor.name), info_of(tensor.dtype).name,
                               fmt::join(tensor.shape, ", "));
  }
  if (contents.model) print(*contents.model);
  for (const auto& [type, total] : by_type) {
    std::cout << fmt::format("{:<44} {} tensors, {} bytes\n", type, total.first, total.second);
  }
}

int run(Arguments& arguments) {
  bool json = false;
  bool tensors = false;
  std::string path;
  arguments.set_example("lowrank inspect model.gguf");
  arguments.add(
      {field("path", path,
             "folder, .gguf or .safetensors file, or the name of a model in the Hugging Face cache"),
       field("tensors", tensors, "list every tensor"),
       field("json", json, "everything as JSON on standard output")});
  arguments.add_positional("path");
  if (!arguments.parse()) return 0;
  require({{"the path", &path}});
  const Contents contents = describe(located_model(path));
  if (json) {
    std::cout << json_text(to_json(contents), 2) << '\n';
  } else {
    print(contents, tensors);
  }
  return 0;
}

}  // namespace

extern const CommandInfo inspect_command;
const CommandInfo inspect_command{"inspect", "shows what is in a model, an adapter or a GGUF file", run};

}  // namespace lowrank
