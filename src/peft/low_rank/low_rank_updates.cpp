#include "peft/low_rank/low_rank_updates.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/rng.h"
#include "kernels/core/device.h"
#include "peft/core/low_rank_init.h"

namespace lowrank {
namespace {

std::string bias_key(const Module& module) {
  return fmt::format("base_model.model.{}.lora_B.bias", module.name);
}

/// s (A[:, i])^T B^T for each id i, [T, d]; zero for virtual tokens.
at::Tensor embedding_update(const LowRankFactors& f, const std::vector<int64_t>& tokens) {
  const at::Tensor ids = indices_for(f.a, tokens);
  const at::Tensor columns = f.a.index_select(1, ids.clamp_min(0)) * ids.ne(virtual_token);
  return at::mm(columns.t(), f.b.t()) * f.scale;
}

}  // namespace

TrainPlan LowRankUpdates::plan(const ModelSpec& spec, const LowRankOptions& options) {
  TrainPlan plan;
  options_ = options;
  factors_.clear();
  by_module_.clear();
  embedding_.reset();
  head_ = nullptr;
  saved_ = {};
  tied_ = options_.ensure_weight_tying && spec.tied_head;
  const Module& embedding = *std::ranges::find(spec.modules, Role::embedding, &Module::role);
  const TargetModules targets = options_.targets.targets();
  const bool only_parameters = targets.empty() && !options_.target_parameters.empty();
  for (const Module* module :
       only_parameters ? std::vector<const Module*>() : select_modules(spec, targets)) {
    if (is_saved_whole(module->name, options_.modules_to_save)) continue;
    // A tied head's adapter is the embedding's.
    const Module& adapted = tied_ && module->role == Role::head ? embedding : *module;
    if (!find(adapted.name)) add_factors(adapted, plan);
  }
  check(!factors_.empty() || only_parameters, ErrorKind::invalid,
        "target_modules: all of them are in modules_to_save");
  if (tied_ && embedding_) {
    head_ = &*std::ranges::find(spec.modules, Role::head, &Module::role);
    plan.copies.push_back({factor_key(*head_, "A"), factor_key(embedding, "B"), true});
    plan.copies.push_back({factor_key(*head_, "B"), factor_key(embedding, "A"), true});
  }
  add_saved(spec);
  saved_.plan(plan);
  rows_.plan(spec, options_.trainable_token_indices, plan);
  for (const TensorRef& tensor : spec.tensors) {
    const bool both = rows_.changes(tensor) && (saved_.holds(tensor) || find(tensor.module_name()));
    check(!both, ErrorKind::unsupported,
          "trainable_token_indices cannot stand beside an adapter or modules_to_save on {}",
          tensor.module_name());
  }
  return plan;
}

void LowRankUpdates::add_factors(const Module& module, TrainPlan& plan) {
  check(module.role != Role::position, ErrorKind::unsupported,
        "target_modules: {} holds positions, which LoRA does not adapt", module.name);
  const int64_t rank = options_.rank_of(module);
  check(options_.init != "orthogonal" || rank % 2 == 0, ErrorKind::invalid,
        "init orthogonal needs an even rank, not {}", rank);
  if (module.role == Role::embedding) embedding_ = factors_.size();
  by_module_[module.name] = factors_.size();
  factors_.push_back({&module, rank, options_.scale_of(module, rank), factors_.size(), {}, {}, {}});
  plan.parameters.push_back({factor_key(module, "A"), {rank, module.in}});
  plan.parameters.push_back({factor_key(module, "B"), {module.out, rank}});
  if (has_bias(module)) plan.parameters.push_back({bias_key(module), {module.out}});
  plan.targets.push_back(module.name);
  plan.kept_values += 2 * rank;
  if (module.is_linear()) plan.stacked_values += rank * (module.in + module.out);
  plan.macs_per_token += rank * (module.is_linear() ? module.in + module.out : module.out);
}

void LowRankUpdates::add_saved(const ModelSpec& spec) {
  const auto is_adapted = [&](const TensorRef& tensor) { return find(tensor.module_name()) != nullptr; };
  std::vector<const TensorRef*> tensors = tensors_to_save(spec, options_.modules_to_save);
  for (const TensorRef* tensor : biases_to_train(spec, options_.bias, modules())) tensors.push_back(tensor);
  for (const TensorRef* tensor : tensors) {
    const bool shared = tied_ && (tensor->role == Role::head || tensor->role == Role::embedding);
    if (!shared) {
      saved_.add(*tensor, saved_key(*tensor, is_adapted(*tensor)));
      continue;
    }
    const TensorRef& table = *std::ranges::find(spec.tensors, Role::embedding, &TensorRef::role);
    const TensorRef& head = *std::ranges::find(spec.tensors, Role::head, &TensorRef::role);
    saved_.add(table, saved_key(table, false));
    saved_.add_copy(head, table, saved_key(head, false));
  }
}

void LowRankUpdates::bind(const ParameterSet& parameters) {
  for (LowRankFactors& f : factors_) {
    f.a = parameters.at(factor_key(*f.module, "A"));
    f.b = parameters.at(factor_key(*f.module, "B"));
    if (has_bias(*f.module)) f.bias = parameters.at(bias_key(*f.module));
  }
  saved_.bind(parameters);
  rows_.bind(parameters);
}

void LowRankUpdates::initialise(const Checkpoint& base, uint64_t seed) {
  at::Generator generator = seeded_generator(seed);
  for (const LowRankFactors& f : factors_) {
    const auto fill = f.module->is_linear() ? initialise_factors : initialise_embedding_factors;
    fill(f.a, f.b, options_.init, generator);
  }
  saved_.initialise(base, seed);
  rows_.initialise();
}

at::Tensor LowRankUpdates::embed(const Context& context, const Embedding& embedding,
                                 const at::Tensor& plain) const {
  const std::vector<int64_t>& tokens = context.batch->tokens;
  at::Tensor rows = rows_.replace(plain, tokens, embedding.scale());
  if (!embedding_) return rows;
  return rows + embedding_update(factors_[*embedding_], tokens) * embedding.scale();
}

std::optional<Patch> LowRankUpdates::patch(const Context& context, const Module& module) const {
  Patch patch;
  patch.end = module.out;
  if (&module == head_) {
    const LowRankFactors& f = factors_[*embedding_];
    patch.A = f.b.t();
    patch.B = f.a.t();
    patch.scale = f.scale;
    return patch;
  }
  const LowRankFactors* f = find(module.name);
  if (!f) return rows_.head_patch(module);
  patch.A = f->a;
  patch.B = f->b;
  if (f->bias.defined()) patch.bias = f->bias * f->scale;
  patch.scale = f->scale;
  if (context.training) patch.dropout = {options_.dropout, derive_seed(context.dropout_seed, f->number)};
  return patch;
}

bool LowRankUpdates::merges(const TensorRef& tensor) const {
  return rows_.changes(tensor) || (embedding_ && tensor.role == Role::embedding);
}

std::optional<at::Tensor> LowRankUpdates::merged(const TensorRef& tensor, const at::Tensor& value) const {
  if (std::optional<at::Tensor> replaced = rows_.merged(tensor, value)) return replaced;
  if (!merges(tensor)) return std::nullopt;
  const LowRankFactors& f = factors_[*embedding_];
  return at::addmm(value, f.a.t(), f.b.t(), 1, f.scale);
}

std::optional<at::Tensor> LowRankUpdates::unmerged(const TensorRef& tensor, const at::Tensor& merged) const {
  if (rows_.changes(tensor) || !merges(tensor)) return std::nullopt;
  const LowRankFactors& f = factors_[*embedding_];
  return at::addmm(merged, f.a.t(), f.b.t(), 1, -f.scale);
}

std::vector<const Module*> LowRankUpdates::modules() const {
  std::vector<const Module*> modules;
  for (const LowRankFactors& f : factors_) modules.push_back(f.module);
  return modules;
}

std::vector<const Module*> LowRankUpdates::patched() const {
  std::vector<const Module*> all = modules();
  if (head_) all.push_back(head_);
  return all;
}

LowRankForm LowRankUpdates::form() const {
  LowRankForm form;
  for (const LowRankFactors& f : factors_)
    form.updates.push_back({f.module, f.rank, f.scale * static_cast<double>(f.rank), f.a, f.b});
  const LowRankOptions& o = options_;
  if (o.lora_bias) form.beside.emplace_back("biases beside B (lora_bias)");
  if (o.bias != "none") form.beside.push_back(fmt::format("the model's biases (bias {})", o.bias));
  if (!o.modules_to_save.empty())
    form.beside.push_back(
        fmt::format("whole parts of the model (modules_to_save {})", fmt::join(o.modules_to_save, ", ")));
  if (!rows_.empty()) form.beside.emplace_back("rows of the embedding (trainable_token_indices)");
  if (tied_ && embedding_)
    form.beside.emplace_back("a head that follows the embedding (ensure_weight_tying)");
  return form;
}

const LowRankFactors* LowRankUpdates::find(std::string_view module) const {
  const auto found = by_module_.find(module);
  return found == by_module_.end() ? nullptr : &factors_[found->second];
}

}  // namespace lowrank
