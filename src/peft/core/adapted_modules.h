#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "peft/core/method.h"
#include "peft/core/target_options.h"
#include "peft/core/trained_tensors.h"

namespace lowrank {

/// What methods on chosen linear layers share: the layer selection, the modules that are trained in full
/// beside them, and their part of PEFT's configuration.
class AdaptedModules {
 public:
  TargetOptions targets;
  std::vector<std::string> modules_to_save;
  std::vector<Role> default_roles{Role::query, Role::value, Role::query_key_value};
  bool adapts_embeddings = false;

  std::vector<Field> fields();

  /// Finds the modules and lists them in the plan's targets. Errors: as select_modules; unsupported for
  /// embeddings, unless the method adapts them, and for positions.
  void plan(const ModelSpec& spec, TrainPlan& plan);
  /// Adds the modules trained in full and the biases (`biases_to_train`), after the method's own parameters.
  void plan_saved(const ModelSpec& spec, TrainPlan& plan, const std::string& biases = "none");
  void bind(const ParameterSet& parameters) { saved_.bind(parameters); }
  void initialise(const Checkpoint& base, uint64_t seed) const { saved_.initialise(base, seed); }

  const std::vector<const Module*>& modules() const { return modules_; }
  /// The index of a module in `modules()`; nothing if it is not adapted.
  std::optional<size_t> index_of(std::string_view module) const;
  const TrainedTensors& saved() const { return saved_; }

  void write(nlohmann::json& config) const;
  void read(const nlohmann::json& config, const std::string& where);

 private:
  std::vector<const Module*> modules_;
  std::map<std::string, size_t, std::less<>> by_name_;
  TrainedTensors saved_;
};

/// `base_model.model.<module>.<tensor>`, the key of a tensor in PEFT's adapter file.
std::string adapter_key(const Module& module, std::string_view tensor);

/// Rejects configuration fields that hold none of their neutral values, all in one error. Errors:
/// unsupported.
void require_neutral(const nlohmann::json& config,
                     const std::map<std::string, std::vector<nlohmann::json>>& fields,
                     const std::string& where);

}  // namespace lowrank
