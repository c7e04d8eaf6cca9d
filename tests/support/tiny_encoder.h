#pragma once

#include <filesystem>

#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank::test {

/// Writes a small BERT without a label head, with random weights and a real tokenizer of 1000 words.
inline void write_tiny_encoder(const std::filesystem::path& folder) {
  nlohmann::json config = tiny_encoder_config("bert");
  config["architectures"] = {"BertModel"};
  config["vocab_size"] = 1000;
  config.erase("id2label");
  write_tiny_model(folder, config);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    std::filesystem::copy_file(fixture("text/bert_small") / name, folder / name);
}

}  // namespace lowrank::test
