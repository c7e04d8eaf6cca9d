#pragma once

#include <memory>

#include "peft/core/method.h"
#include "peft/core/module_formula.h"

namespace lowrank {

/// The method of a formula (peft/core/module_formula.h).
std::unique_ptr<Method> make_module_method(std::unique_ptr<ModuleFormula> formula);

/// The same in the form that MethodInfo::make takes.
template <class Formula>
std::unique_ptr<Method> make_module_method() {
  return make_module_method(std::make_unique<Formula>());
}

}  // namespace lowrank
