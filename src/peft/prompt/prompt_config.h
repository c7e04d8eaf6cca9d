#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "peft/core/method.h"
#include "peft/core/trained_tensors.h"

namespace lowrank {

/// What methods with virtual tokens share: the fields of PEFT's prompt configurations that come from the
/// model, and the modules trained in full beside the prompt.
class PromptConfig {
 public:
  std::vector<std::string> modules_to_save;

  /// The field `modules_to_save`.
  Field field_of_modules();

  /// Takes the number of layers and adds the modules trained in full, after the method's own parameters.
  void plan(const ModelSpec& spec, TrainPlan& plan);
  void bind(const ParameterSet& parameters) { saved_.bind(parameters); }
  void initialise(const Checkpoint& base, uint64_t seed) const { saved_.initialise(base, seed); }
  const TrainedTensors& saved() const { return saved_; }

  /// PEFT's common fields for `count` virtual tokens of width `token_dim` over `heads` heads.
  nlohmann::json write(const char* peft_type, int64_t count, int64_t token_dim, int64_t heads) const;
  /// Returns the number of virtual tokens, and reads modules_to_save. Errors: invalid if a required field is
  /// missing (PEFT itself inserts no prompt without `task_type`); unsupported for several prompts in one.
  int64_t read(const nlohmann::json& config, const std::string& where);

 private:
  int64_t layers_ = 0;
  TrainedTensors saved_;
};

/// A whole number of at least `least` from a configuration file. Errors: invalid, naming the key.
int64_t read_count(const nlohmann::json& config, const char* key, int64_t least, const std::string& where);

/// `num_virtual_tokens`.
Field virtual_tokens_field(int64_t& count);

}  // namespace lowrank
