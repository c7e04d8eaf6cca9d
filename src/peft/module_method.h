#pragma once

#include <memory>

#include "peft/method.h"
#include "peft/module_formula.h"

namespace lowrank {

/// The method of a formula (peft/module_formula.h).
std::unique_ptr<Method> make_module_method(std::unique_ptr<ModuleFormula> formula);

/// The same in the form that MethodInfo::make takes.
template <class Formula>
std::unique_ptr<Method> make_module_method() {
  return make_module_method(std::make_unique<Formula>());
}

}  // namespace lowrank
