#include "peft/files/combined_methods.h"

#include <algorithm>

#include <ATen/ops/add.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "peft/files/combined_plan.h"

namespace lowrank {
namespace {

/// Rejects patches of different methods on one module's product, unless they only add.
void check_patches_add(const std::vector<Patch>& first, const std::vector<Patch>& second,
                       const Module& module) {
  const bool adds = first.empty() || second.empty() ||
                    (std::ranges::all_of(first, only_adds) && std::ranges::all_of(second, only_adds));
  check(adds, ErrorKind::unsupported,
        "two of the methods change the product of {} in ways that do not add; give one of them other "
        "`target_modules`",
        module.name);
}

class Combined final : public Method, public AdapterForm {
 public:
  explicit Combined(std::vector<Adapter> parts) : parts_(std::move(parts)), described_(parts_) {}

  const MethodInfo& info() const { return described_.info; }
  std::vector<Adapter>& adapters() { return parts_; }
  const std::vector<Adapter>* parts() const override { return &parts_; }

  std::vector<Field> fields() override { return combined_fields(parts_); }
  TrainPlan plan(const ModelSpec& spec) override {
    headless_ = std::make_unique<ModelSpec>(spec);
    headless_->head_modules.clear();
    unmerged_.clear();
    TrainPlan whole;
    for (Adapter& part : parts_) {
      const bool first = &part == &parts_.front();
      part.plan = part.method->plan(first ? spec : *headless_);
      part.labels = spec.labels;
      add_part(part, info(), whole);
      const bool merges = std::ranges::any_of(
          spec.tensors, [&](const TensorRef& tensor) { return part.method->merges(tensor); });
      if (!merges && unmerged_.empty())
        unmerged_ = fmt::format("of {}, {}", part.info->name, part.method->why_not_merged());
    }
    return whole;
  }

  void bind(const ParameterSet& parameters) override {
    for (Adapter& part : parts_) {
      part.parameters = std::make_unique<ParameterSet>(parameters.part(part_prefix(part)));
      part.method->bind(*part.parameters);
    }
  }
  void read_base(const Checkpoint& base) override {
    for (const Adapter& part : parts_) part.method->read_base(base);
  }
  void initialise(const Checkpoint& base, uint64_t seed) override {
    for (const Adapter& part : parts_) part.method->initialise(base, seed);
  }
  void begin_step(const StepInfo& info) override {
    for (const Adapter& part : parts_) part.method->begin_step(info);
  }
  void end_backward() override {
    for (const Adapter& part : parts_) part.method->end_backward();
  }
  void after_step(const StepInfo& info) override {
    for (const Adapter& part : parts_) part.method->after_step(info);
  }
  std::vector<FileTensor> state() const override { return combined_state(parts_); }
  void set_state(const std::vector<FileTensor>& state) override { set_combined_state(parts_, state); }
  std::string prefix_sharing_blocker() const override {
    for (const Adapter& part : parts_) {
      if (std::string why = part.method->prefix_sharing_blocker(); !why.empty()) return why;
    }
    return {};
  }
  at::Tensor regularizer() override {
    at::Tensor sum;
    for (const Adapter& part : parts_) {
      const at::Tensor term = part.method->regularizer();
      if (term.defined()) sum = sum.defined() ? at::add(sum, term) : term;
    }
    return sum;
  }

  void layout(Batch& batch) const override {
    for (const Adapter& part : parts_) part.method->layout(batch);
  }
  bool can_cache() const override {
    return std::ranges::all_of(parts_, [](const Adapter& part) { return part.method->can_cache(); });
  }
  at::Tensor embed(const Place& place, const Embedding& embedding, at::Tensor rows) const override {
    for (const Adapter& part : parts_) rows = part.method->embed(place, embedding, std::move(rows));
    return rows;
  }
  std::vector<Patch> patches(const Place& place, const Module& module) const override {
    std::vector<Patch> all;
    for (const Adapter& part : parts_) {
      std::vector<Patch> next = part.method->patches(place, module);
      check_patches_add(all, next, module);
      all.insert(all.end(), std::make_move_iterator(next.begin()), std::make_move_iterator(next.end()));
    }
    return all;
  }
  bool acts_between_layers() const override {
    return std::ranges::any_of(parts_,
                               [](const Adapter& part) { return part.method->acts_between_layers(); });
  }
  std::vector<const Module*> adapted() const override {
    std::vector<const Module*> all;
    for (const Adapter& part : parts_) {
      for (const Module* module : part.method->adapted()) {
        if (std::ranges::find(all, module) == all.end()) all.push_back(module);
      }
    }
    return all;
  }
  at::Tensor weight(const Context& context, const TensorRef& tensor) const override {
    for (const Adapter& part : parts_) {
      if (part.plan.uses.contains(tensor.name)) return part.method->weight(context, tensor);
    }
    return Method::weight(context, tensor);
  }
  std::optional<Prefix> prefix(const Place& place) const override {
    std::optional<Prefix> only;
    for (const Adapter& part : parts_) {
      std::optional<Prefix> next = part.method->prefix(place);
      check(!next || !only, ErrorKind::unsupported,
            "two of the methods {} put keys and values in front of each sequence", info().name);
      if (next) only = std::move(next);
    }
    return only;
  }
  at::Tensor branch_end(const Place& place, const Site& site, const at::Tensor& in,
                        const at::Tensor& out) const override {
    at::Tensor result = out;
    for (const Adapter& part : parts_) result = part.method->branch_end(place, site, in, result);
    return result;
  }
  HiddenState layer_end(const Place& place, HiddenState hidden) const override {
    for (const Adapter& part : parts_) {
      const SequenceLayout layout = hidden.layout;
      hidden = part.method->layer_end({place.context, layout, place.layer}, std::move(hidden));
    }
    return hidden;
  }

  bool starts_from_base() const override {
    return std::ranges::all_of(parts_, [](const Adapter& part) { return part.method->starts_from_base(); });
  }
  bool merges(const TensorRef& tensor) const override {
    return unmerged_.empty() &&
           std::ranges::any_of(parts_, [&](const Adapter& part) { return part.method->merges(tensor); });
  }
  std::string why_not_merged() const override { return unmerged_; }
  AdapterForm& form() override { return *this; }
  const AdapterForm& form() const override { return *this; }
  Output output() const override {
    const bool plain = std::ranges::all_of(
        parts_, [](const Adapter& part) { return part.method->form().output() == Output::adapter; });
    return plain || !unmerged_.empty() ? Output::adapter : Output::adapter_and_model;
  }
  std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& value) const override {
    std::optional<at::Tensor> result = value;
    for (const Adapter& part : parts_) {
      if (result && part.method->merges(tensor)) result = part.method->merged(tensor, *result);
    }
    return result;
  }
  std::optional<at::Tensor> unmerged(const TensorRef& tensor, const at::Tensor& merged) const override {
    std::optional<at::Tensor> result = merged;
    for (size_t i = parts_.size(); i-- > 0;) {
      const Method& last = *parts_[i].method;
      if (result && last.merges(tensor)) result = last.unmerged(tensor, *result);
    }
    return result;
  }
  std::string why_not_unmerged() const override {
    std::vector<std::string> reasons;
    for (const Adapter& part : parts_)
      reasons.push_back(fmt::format("of {}, {}", part.info->name, part.method->why_not_unmerged()));
    return fmt::format("{}", fmt::join(reasons, "; "));
  }
  bool keeps_tied_head() const override {
    return std::ranges::any_of(parts_, [](const Adapter& part) { return part.method->keeps_tied_head(); });
  }
  LowRankForm low_rank_form() const override {
    LowRankForm all;
    for (const Adapter& part : parts_) {
      LowRankForm form = part.method->low_rank_form();
      all.updates.insert(all.updates.end(), form.updates.begin(), form.updates.end());
      all.beside.insert(all.beside.end(), form.beside.begin(), form.beside.end());
    }
    return all;
  }

  AdapterFileNames names() const override {
    const bool same = std::ranges::all_of(parts_, [&](const Adapter& part) {
      return part.method->form().names().library == parts_.front().method->form().names().library;
    });
    return {.library = same ? parts_.front().method->form().names().library : ""};
  }
  nlohmann::json config() const override {
    nlohmann::json names = nlohmann::json::array();
    for (const Adapter& part : parts_) names.push_back(part.info->name);
    return {{"methods", names}};
  }
  void read_config(const nlohmann::json&, const std::string& where) override {
    fail(ErrorKind::invalid, "{}: methods side by side have a folder each", where);
  }

 private:
  std::vector<Adapter> parts_;
  CombinedInfo described_;
  std::unique_ptr<ModelSpec> headless_;  ///< for all but the first: the label head belongs to the first
  std::string unmerged_;                 ///< why they cannot be merged; empty if they can
};

}  // namespace

CombinedMethods combine_methods(std::vector<Adapter> parts) {
  auto method = std::make_unique<Combined>(std::move(parts));
  const MethodInfo* info = &method->info();
  std::vector<Adapter>* own = &method->adapters();
  return {std::move(method), info, own};
}

}  // namespace lowrank
