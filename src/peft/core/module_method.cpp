#include "peft/core/module_method.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

#include "kernels/core/device.h"
#include "model/embedding.h"
#include "peft/core/adapted_modules.h"
#include "peft/core/from_patches.h"
#include "peft/core/inverse_patches.h"
#include "peft/core/low_rank_init.h"
#include "peft/core/resolved_values.h"

namespace lowrank {
namespace {

using Tensors = std::vector<at::Tensor>;

class ModuleMethod final : public Method, public AdapterForm {
 public:
  explicit ModuleMethod(std::unique_ptr<ModuleFormula> formula) : formula_(std::move(formula)) {
    modules_.default_roles = formula_->default_roles();
    modules_.adapts_embeddings = formula_->adapts_embeddings();
  }

  std::vector<Field> fields() override {
    std::vector<Field> fields = formula_->fields();
    for (Field& field : modules_.fields()) fields.push_back(std::move(field));
    return fields;
  }

  TrainPlan plan(const ModelSpec& spec) override {
    TrainPlan plan;
    modules_.plan(spec, plan);
    formula_->choose(spec, modules_);
    for (const Module* module : modules_.modules()) {
      for (ParameterSpec parameter : formula_->parameters(*module)) {
        parameter.name = adapter_key(*module, parameter.name);
        plan.parameters.push_back(std::move(parameter));
      }
    }
    for (ParameterSpec& parameter : formula_->shared_parameters())
      plan.parameters.push_back(std::move(parameter));
    take(ParameterSet::stand_ins(plan.parameters));
    add_patch_costs(*this, plan);
    if (formula_->resolves()) plan.resolved_values = resolved_count();
    modules_.plan_saved(spec, plan, formula_->biases());
    return plan;
  }

  void bind(const ParameterSet& parameters) override {
    take(parameters);
    modules_.bind(parameters);
  }

  void initialise(const Checkpoint& base, uint64_t seed) override {
    const at::NoGradGuard no_grad;
    at::Generator generator = seeded_generator(seed);
    formula_->initialise_shared();
    for (size_t i = 0; i < values_.size(); ++i)
      formula_->initialise(*modules_.modules()[i], values_[i], generator);
    modules_.initialise(base, seed);
    resolved_.clear();
  }
  bool starts_from_base() const override { return formula_->starts_from_base(); }

  void begin_step(const StepInfo&) override {
    if (!formula_->resolves()) return;
    {
      const at::NoGradGuard no_grad;
      for (const Tensors& values : values_) formula_->project(values);
    }
    const auto compute = [&] {
      ResolvedValues::Values values;
      for (size_t i = 0; i < values_.size(); ++i)
        values.push_back(formula_->resolved(*modules_.modules()[i], values_[i]));
      return values;
    };
    resolved_.begin_step(compute);
  }
  void end_backward() override { resolved_.end_backward(); }
  void after_step(const StepInfo&) override { resolved_.clear(); }

  std::vector<Patch> patches(const Place& place, const Module& module) const override {
    const auto index = modules_.index_of(module.name);
    if (!index || !module.is_linear()) return {};
    std::vector<Patch> patches = formula_->patches(place.context, module, *index, values_of(*index));
    for (Patch& patch : patches) patch.end = module.out;
    return patches;
  }
  at::Tensor embed(const Place& place, const Embedding& embedding, at::Tensor rows) const override {
    const auto index = modules_.index_of(embedding.tensor().module_name());
    if (!index) return rows;
    const at::Tensor ids = indices_for(rows, place.context.batch->tokens).clamp_min(0);
    return formula_->embedded(*modules_.modules()[*index], rows, ids, values_of(*index))
        .to(rows.scalar_type());
  }

  std::vector<const Module*> adapted() const override { return modules_.modules(); }
  bool acts_between_layers() const override { return false; }
  const TrainedTensors* trained_beside() const override { return &modules_.saved(); }
  bool merges(const TensorRef& tensor) const override {
    return adapted_embedding(tensor).has_value() || Method::merges(tensor);
  }
  std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& value) const override {
    const auto index = adapted_embedding(tensor);
    if (!index) return Method::merged(tensor, value);
    return formula_->embedded(*modules_.modules()[*index], value,
                              at::arange(value.size(0), value.options().dtype(at::kLong)), values_of(*index));
  }
  std::optional<at::Tensor> unmerged(const TensorRef& tensor, const at::Tensor& merged) const override {
    const auto index = adapted_embedding(tensor);
    if (!index) return Method::unmerged(tensor, merged);
    const auto embedded = [&](const at::Tensor& rows) {
      return formula_->embedded(*modules_.modules()[*index], rows,
                                at::arange(rows.size(0), rows.options().dtype(at::kLong)), values_of(*index));
    };
    return inverse_by_iteration(tensor.name, merged, embedded);
  }
  LowRankForm low_rank_form() const override {
    LowRankForm form = low_rank_form_of(*this);
    for (const Module* module : modules_.modules()) {
      if (!module->is_linear()) form.beside.push_back("changes of " + module->name);
    }
    return form;
  }

  AdapterForm& form() override { return *this; }
  const AdapterForm& form() const override { return *this; }
  nlohmann::json config() const override {
    nlohmann::json config;
    modules_.write(config);
    formula_->write(config);
    return config;
  }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    modules_.read(config, where);
    formula_->read(config, where);
  }

 private:
  void take(const ParameterSet& parameters) {
    values_.clear();
    resolved_.clear();
    for (const Module* module : modules_.modules()) {
      Tensors& values = values_.emplace_back();
      for (const ParameterSpec& parameter : formula_->parameters(*module))
        values.push_back(parameters.at(adapter_key(*module, parameter.name)));
    }
    formula_->bind(parameters);
  }

  /// What `patches` takes for a module: computed for the step, or here if no step has begun.
  Tensors values_of(size_t index) const {
    if (!formula_->resolves()) return values_[index];
    return resolved_.known() ? resolved_.of(index)
                             : formula_->resolved(*modules_.modules()[index], values_[index]);
  }

  int64_t resolved_count() const {
    int64_t count = 0;
    for (size_t i = 0; i < values_.size(); ++i) {
      for (const at::Tensor& value : values_of(i)) count += value.numel();
    }
    return count;
  }

  std::optional<size_t> adapted_embedding(const TensorRef& tensor) const {
    const auto index = tensor.is_weight() ? modules_.index_of(tensor.module_name()) : std::nullopt;
    return index && !modules_.modules()[*index]->is_linear() ? index : std::nullopt;
  }

  std::unique_ptr<ModuleFormula> formula_;
  AdaptedModules modules_;
  std::vector<Tensors> values_;  ///< by module
  ResolvedValues resolved_;
};

}  // namespace

std::unique_ptr<Method> make_module_method(std::unique_ptr<ModuleFormula> formula) {
  return std::make_unique<ModuleMethod>(std::move(formula));
}

}  // namespace lowrank
