#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/rng.h"
#include "data/dataset.h"
#include "data/training_batch.h"
#include "formats/safetensors_writer.h"
#include "model/checkpoint.h"
#include "model/registry.h"
#include "model/tensor_form.h"
#include "support/places_in.h"
#include "support/temporary_folder.h"

namespace lowrank::test {

/// The small configuration of a family in the table.
inline nlohmann::json tiny_config(std::string_view family) {
  const auto found = std::ranges::find(families(), family, &FamilyInfo::name);
  check(found != families().end(), ErrorKind::invalid, "no family {}", family);
  return (*found)->tiny_config();
}

/// Llama's: 4 heads of 8 on 2 key heads.
inline nlohmann::json tiny_llama_config() {
  return tiny_config("llama");
}

/// Gemma 3's, whose first layer sees a window of 5.
inline nlohmann::json tiny_gemma3_config() {
  return tiny_config("gemma3");
}

inline nlohmann::json tiny_gpt2_config() {
  return tiny_config("gpt2");
}

/// Of BERT or RoBERTa, with a head for three classes.
inline nlohmann::json tiny_encoder_config(const std::string& family) {
  return tiny_config(family);
}

/// Writes a checkpoint with random weights (matrices N(0, 1/in), norms around 1) for a configuration of any
/// known family.
inline void write_tiny_model(const std::filesystem::path& folder, const nlohmann::json& config,
                             uint64_t seed = 1) {
  std::filesystem::create_directories(folder);
  const ModelSpec spec = family_of_model_type(config["model_type"].get<std::string>(), "test").spec(config);
  Philox random(seed);
  std::vector<StoredTensor> tensors;
  std::vector<std::vector<float>> values;
  for (const TensorRef& tensor : spec.tensors) {
    if (tensor.optional && !tensor.start_deviation) continue;
    std::vector<float>& data = values.emplace_back(*element_count(tensor.shape));
    const float deviation =
        tensor.shape.size() == 2 ? 1 / std::sqrt(static_cast<float>(tensor.shape[1])) : 0.1F;
    const bool around_one = tensor.role == Role::norm || tensor.role == Role::constant;
    for (float& value : data) value = random.normal() * deviation + (around_one ? 1.F : 0.F);
    tensors.push_back({tensor.name, DType::f32, folder_shape(tensor), {}});
  }
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i].bytes = std::as_bytes(std::span(values[i]));
  write_safetensors(folder / "model.safetensors", tensors);
  write_file_atomically(folder / "config.json", config.dump());
}

/// Sets `count` values of a tensor in the folder's model.safetensors (f32), from `first` on, to this value.
inline void overwrite_values(const std::filesystem::path& folder, const std::string& tensor, float value,
                             int64_t count = 1, int64_t first = 0) {
  std::fstream file(folder / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  uint64_t length = 0;
  file.read(reinterpret_cast<char*>(&length), sizeof length);
  std::string header(length, ' ');
  file.read(header.data(), static_cast<std::streamsize>(length));
  const auto begin = nlohmann::json::parse(header)[tensor]["data_offsets"][0].get<uint64_t>();
  file.seekp(static_cast<std::streamoff>(sizeof length + length + begin + first * sizeof value));
  for (int64_t i = 0; i < count; ++i) file.write(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Random sequences of the given lengths; all tokens are targets.
inline std::vector<Example> random_examples(const std::vector<int64_t>& lengths, int64_t vocabulary,
                                            uint64_t seed = 2) {
  Philox random(seed);
  std::vector<Example> examples;
  for (const int64_t length : lengths) {
    Example example;
    for (int64_t i = 0; i < length; ++i) {
      example.tokens.push_back(static_cast<int64_t>(random.below(static_cast<uint64_t>(vocabulary))));
    }
    example.labels = example.tokens;
    examples.push_back(std::move(example));
  }
  return examples;
}

/// Gives the examples the labels in turn.
inline void label(std::vector<Example>& examples, const LabelSet& labels) {
  for (size_t i = 0; i < examples.size(); ++i) {
    examples[i].labels.clear();
    examples[i].label = static_cast<double>(i % std::max<size_t>(1, labels.names.size()));
  }
}

/// The plain model, even if a method's plan trains some of its tensors.
struct FileWeights : Hooks {
  explicit FileWeights(std::shared_ptr<const Checkpoint> of, at::Device on = at::kCPU)
      : checkpoint(std::move(of)), device(on) {}
  at::Tensor weight(const Context&, const TensorRef& tensor) const override {
    return checkpoint->start(tensor, 0).to(device);
  }
  std::shared_ptr<const Checkpoint> checkpoint;
  at::Device device;
};

inline Batch batch_of(const std::vector<Example>& examples) {
  std::vector<int64_t> indices;
  for (size_t i = 0; i < examples.size(); ++i) indices.push_back(static_cast<int64_t>(i));
  return make_batch(examples, indices);
}

}  // namespace lowrank::test
