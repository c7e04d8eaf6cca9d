#pragma once

#include <span>
#include <string>
#include <vector>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "kernels/products/patch.h"
#include "model/hooks.h"
#include "peft/core/parameters.h"

namespace lowrank {

class AdaptedModules;

/// A method that consists only of patches on chosen modules: the tensors it trains per module, their initial
/// values, the patches made from them, and its keys in PEFT's configuration. `make_module_method`
/// (peft/core/module_method.h) makes a complete method from it, with module selection, modules trained in
/// full, merging, export and files. `values` are always the tensors of `parameters`, in that order.
struct ModuleFormula {
  virtual ~ModuleFormula() = default;

  /// The options other than those that name modules. The fields point into the formula.
  virtual std::vector<Field> fields() { return {}; }
  /// What is adapted if no target_modules are given.
  virtual std::vector<Role> default_roles() const {
    return {Role::query, Role::value, Role::query_key_value};
  }
  virtual bool adapts_embeddings() const { return false; }
  /// Which of the model's own biases are also trained: none, all or lora_only (those of adapted modules).
  virtual std::string biases() const { return "none"; }
  /// Called when the modules are known, before `parameters`. Errors: invalid when the options do not fit.
  virtual void choose(const ModelSpec& /*spec*/, const AdaptedModules& /*modules*/) {}

  /// The tensors of one module; each name is the part after `base_model.model.<module>.` in the file.
  virtual std::vector<ParameterSpec> parameters(const Module& module) const = 0;
  /// Tensors that all modules share, under their full names; `bind` receives them, at first as shapes alone
  /// (ParameterSet::stand_ins).
  virtual std::vector<ParameterSpec> shared_parameters() const { return {}; }
  virtual void bind(const ParameterSet& /*parameters*/) {}
  /// Set the initial values, without gradient; `initialise_shared` first, then the modules in the model's
  /// order.
  virtual void initialise_shared() {}
  virtual void initialise(const Module& module, std::span<const at::Tensor> values,
                          at::Generator& generator) const = 0;
  /// True when the model with these values computes what the base computes.
  virtual bool starts_from_base() const { return true; }

  /// What is computed from the values once per step rather than in every pass of `patches`, differentiable in
  /// them; by default the values themselves.
  virtual std::vector<at::Tensor> resolved(const Module& /*module*/,
                                           std::span<const at::Tensor> values) const {
    return {values.begin(), values.end()};
  }
  virtual bool resolves() const { return false; }
  /// Projects the values onto their constraints, in place; before `resolved`, once per step.
  virtual void project(std::span<const at::Tensor> /*values*/) const {}
  /// The patches of adapted module `number`, for all its rows; `resolved` as above.
  virtual std::vector<Patch> patches(const Context& context, const Module& module, size_t number,
                                     std::span<const at::Tensor> resolved) const = 0;
  /// Rows [n, d] of an adapted embedding for these ids [n] with the adapter applied, linear in the rows.
  virtual at::Tensor embedded(const Module& /*module*/, const at::Tensor& rows, const at::Tensor& /*ids*/,
                              std::span<const at::Tensor> /*resolved*/) const {
    return rows;
  }

  /// Adds the formula's own fields to a configuration that holds those of the modules, and reads them back.
  /// Errors: unsupported or invalid, listing all fields that cannot be honoured.
  virtual void write(nlohmann::json& config) const = 0;
  virtual void read(const nlohmann::json& config, const std::string& where) = 0;
};

}  // namespace lowrank
