#pragma once

#include <string>
#include <vector>

#include "peft/core/method.h"
#include "peft/files/adapter_file.h"

// What methods that train side by side are together outside a pass. Each is a part: an Adapter with `info`
// and `method`.
namespace lowrank {

/// The registry entry of several methods as one, with the text that it refers to.
struct CombinedInfo {
  /// The learning rate is that of the first part. Errors: invalid for a method that stands twice.
  explicit CombinedInfo(const std::vector<Adapter>& parts);
  CombinedInfo(const CombinedInfo&) = delete;
  CombinedInfo& operator=(const CombinedInfo&) = delete;

  std::string name, paper, summary;
  MethodInfo info{};
};

/// The options of all parts; one that several have is set in each of them.
std::vector<Field> combined_fields(const std::vector<Adapter>& parts);

/// What the names of a part's parameters and of its state begin with: the method's name and a slash.
std::string part_prefix(const Adapter& part);

/// Adds the plan of one part to that of all, `whole`: its parameters by their longer names, with learning
/// rates in proportion to those of the methods. `info`: of all. Errors: unsupported if both train the same
/// tensor of the base.
void add_part(const Adapter& part, const MethodInfo& info, TrainPlan& whole);

/// The states of all parts, by their longer names.
std::vector<FileTensor> combined_state(const std::vector<Adapter>& parts);
/// Gives each part its own of what `combined_state` returned.
void set_combined_state(const std::vector<Adapter>& parts, const std::vector<FileTensor>& state);

}  // namespace lowrank
