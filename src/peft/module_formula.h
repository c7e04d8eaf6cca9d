#pragma once

#include <span>
#include <string>
#include <vector>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "kernels/patch.h"
#include "model/hooks.h"
#include "peft/parameters.h"

namespace lowrank {

class AdaptedModules;

/// A method that is nothing but patches on chosen modules: what it trains of one module, how that starts, the
/// patches that it makes of it, and its keys in PEFT's configuration. `make_module_method`
/// (peft/module_method.h) makes a whole method of it: choice of modules, modules that train whole beside
/// them, merging, export and files follow. `values` are always the tensors of `parameters`, in its order.
struct ModuleFormula {
  virtual ~ModuleFormula() = default;

  /// The options beside those that name modules. The fields point into the formula.
  virtual std::vector<Field> fields() { return {}; }
  /// What is adapted where no target_modules are given.
  virtual std::vector<Role> default_roles() const {
    return {Role::query, Role::value, Role::query_key_value};
  }
  virtual bool adapts_embeddings() const { return false; }
  /// Which of the model's own biases train, too: none, all or lora_only (those of adapted modules).
  virtual std::string biases() const { return "none"; }
  /// Called when the modules are known, before `parameters`. Errors: invalid when the options do not fit.
  virtual void choose(const ModelSpec& /*spec*/, const AdaptedModules& /*modules*/) {}

  /// The tensors of one module; names are what follows `base_model.model.<module>.` in the file.
  virtual std::vector<ParameterSpec> parameters(const Module& module) const = 0;
  /// Tensors of all modules together, under their whole names; `bind` takes them, at first as shapes alone
  /// (ParameterSet::stand_ins).
  virtual std::vector<ParameterSpec> shared_parameters() const { return {}; }
  virtual void bind(const ParameterSet& /*parameters*/) {}
  /// Values at the start, without gradient; modules come in the model's order, after `initialise_shared`.
  virtual void initialise_shared() {}
  virtual void initialise(const Module& module, std::span<const at::Tensor> values,
                          at::Generator& generator) const = 0;
  /// True when the model with these values computes what the base computes.
  virtual bool starts_from_base() const { return true; }

  /// What `patches` needs of the values that is worth computing once a step instead of in every pass,
  /// differentiable in them; the values themselves where nothing is.
  virtual std::vector<at::Tensor> resolved(const Module& /*module*/,
                                           std::span<const at::Tensor> values) const {
    return {values.begin(), values.end()};
  }
  virtual bool resolves() const { return false; }
  /// Puts the values where they must lie, in place; before `resolved`, once a step.
  virtual void project(std::span<const at::Tensor> /*values*/) const {}
  /// The patches of module `number` of the adapted ones, for all its rows; `resolved` as above.
  virtual std::vector<Patch> patches(const Context& context, const Module& module, size_t number,
                                     std::span<const at::Tensor> resolved) const = 0;
  /// Rows [n, d] of an adapted embedding for these ids [n] with the adapter in them, linear in the rows.
  virtual at::Tensor embedded(const Module& /*module*/, const at::Tensor& rows, const at::Tensor& /*ids*/,
                              std::span<const at::Tensor> /*resolved*/) const {
    return rows;
  }

  /// Adds the formula's own fields to a configuration that holds those of the modules, and back. Errors:
  /// unsupported or invalid, all fields that cannot be honoured at once.
  virtual void write(nlohmann::json& config) const = 0;
  virtual void read(const nlohmann::json& config, const std::string& where) = 0;
};

}  // namespace lowrank
