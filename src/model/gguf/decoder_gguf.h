#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "formats/gguf_metadata.h"
#include "model/decoder_config.h"

namespace lowrank {

/// What a GGUF file of a model holds beside its weights and its tokenizer.
struct GgufDescription {
  /// A tensor computed from the configuration, F32.
  struct Table {
    std::string name;
    std::vector<float> values;
  };

  GgufMetadata keys;
  std::vector<Table> tables;
  /// The merges of the family's tokenizers follow from the order of the vocabulary, so the file needs none.
  bool merges_from_vocabulary = false;
  std::vector<std::string> notes;  ///< what the file says differently from the folder, as sentences
};

/// Sets keys below `<architecture>.`, in the types that llama.cpp reads.
class GgufKeyWriter {
 public:
  GgufKeyWriter(GgufMetadata& keys, std::string_view architecture)
      : keys_(keys), prefix_(std::string(architecture) + ".") {}

  void count(std::string_view key, int64_t value) const {
    keys_.set_number(prefix_ + std::string(key), static_cast<uint32_t>(value));
  }
  void number(std::string_view key, double value) const {
    keys_.set_number(prefix_ + std::string(key), static_cast<float>(value));
  }
  void text(std::string_view key, std::string_view value) const {
    keys_.set_string(prefix_ + std::string(key), value);
  }
  /// The window of layers that have one, and which these are, as a list. Errors: unsupported for windows of
  /// several sizes.
  void windows(const std::vector<int64_t>& windows) const;

 private:
  GgufMetadata& keys_;
  std::string prefix_;
};

/// The keys that decoders share, the inverse of decoder_config_from_gguf: sizes, epsilon, and the rotary
/// frequencies of `c.rotary.front()`, whose scaling is the one in `config` (as for rope_frequencies).
/// Windows that `c` still has are not written: texts longer than the smallest would differ, so the context
/// ends there, with a note. Errors: unsupported for scalings that GGUF lacks (dynamic, yarn with other
/// strengths, llama3 with other bands than Llama 3.1's), the key named.
GgufDescription describe_decoder(const nlohmann::json& config, const DecoderConfig& c);

/// The same for a family without keys of its own.
template <DecoderConfig (*parse)(const nlohmann::json&)>
GgufDescription describe_decoder(const nlohmann::json& config) {
  return describe_decoder(config, parse(config));
}

/// Errors: unsupported, "config: KEY ...", when `holds` is false: a file of this architecture cannot say so.
void require_in_gguf(bool holds, std::string_view key, std::string_view must);

}  // namespace lowrank
