#pragma once

#include <memory>
#include <vector>

#include "peft/core/method.h"
#include "peft/files/adapter_file.h"

namespace lowrank {

/// A method made of several. `info` and `parts` live as long as `method`; planning it plans the parts.
struct CombinedMethods {
  std::unique_ptr<Method> method;
  const MethodInfo* info = nullptr;
  std::vector<Adapter>* parts = nullptr;
};

/// The methods of `parts` as one: each acts through its own hooks, in order, on the results of those before
/// it. Of each part, `info` and `method` are given. Names of parameters begin with the method's name and a
/// slash; a label head belongs to the first. Errors: invalid for a method that stands twice. Planning fails
/// (unsupported) if two train the same tensor, and a pass fails if two change the same module's product in
/// ways that do not add.
CombinedMethods combine_methods(std::vector<Adapter> parts);

}  // namespace lowrank
