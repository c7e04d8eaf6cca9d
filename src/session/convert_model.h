#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "session/merge_check.h"

namespace lowrank {

/// A Hugging Face folder that becomes a GGUF file.
struct ConvertOptions {
  std::string model;   ///< the folder
  std::string output;  ///< FILE.gguf, which must not exist
  std::string type = "q8_0";
  bool check = true;  ///< compare the file's logits with the folder's

  /// The options, without the model.
  std::vector<Field> fields();
};

struct ConvertResult {
  int64_t tensors = 0, bytes = 0;
  std::map<std::string, int64_t> types = {};       ///< tensors by the type they are written in
  std::vector<std::string> notes = {};             ///< what the file says differently, as sentences
  std::optional<ModelDifference> difference = {};  ///< with `check`
};

/// Writes a decoder's folder as a GGUF file for llama.cpp: names, shapes, keys and row order as its converter
/// writes them. Vectors, norms and learned positions are F32; matrices have the wanted type, for q4_k the
/// embedding and the head Q6_K. Rows that do not fill the blocks of 256 of Q4_K and Q6_K become Q5_0 and
/// Q8_0, and those that do not fill blocks of 32 F16. One tensor at most is in memory; the file appears when
/// it is complete. Errors: unsupported for a GGUF file, an encoder, and for what a GGUF file cannot hold
/// (FamilyInfo::describe_gguf, write_tokenizer_keys); invalid for an output that exists or does not end in
/// .gguf, for values that are not finite, and when the file's logits differ by more than its types explain
/// (it is removed then); io, also when the folder was modified meanwhile; interrupted.
ConvertResult convert_model(const ConvertOptions& options);

}  // namespace lowrank
