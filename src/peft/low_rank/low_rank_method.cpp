#include "peft/low_rank/low_rank_method.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "base/error.h"
#include "model/embedding.h"
#include "peft/core/module_patterns.h"
#include "peft/core/trained_tensors.h"
#include "peft/low_rank/expert_updates.h"
#include "peft/low_rank/low_rank_config.h"

namespace lowrank {
namespace {

class LowRankMethod final : public Method, public AdapterForm {
 public:
  explicit LowRankMethod(LowRankVariant variant) : variant_(std::move(variant)) {}

  std::vector<Field> fields() override {
    std::vector<Field> fields = variant_.options.fields();
    fields.insert(fields.end(), variant_.fields.begin(), variant_.fields.end());
    return fields;
  }
  TrainPlan plan(const ModelSpec& spec) override {
    LowRankOptions& options = variant_.options;
    if (!changes_patches()) move_expert_targets(spec, options);
    check(options.target_parameters.empty() || !changes_patches(), ErrorKind::unsupported,
          "target_parameters: only plain LoRA adapts experts");
    if (options.target_parameters.empty()) options.targets.resolve_default_layers(spec);
    options.modules_to_save = with_head(spec, options.modules_to_save);
    TrainPlan plan = updates_.plan(spec, options);
    experts_.plan(spec, options, plan);
    check_all_patterns(plan);
    bind_updates(ParameterSet::stand_ins(plan.parameters));
    if (variant_.plan) variant_.plan(plan, updates_);
    return plan;
  }
  void bind(const ParameterSet& parameters) override {
    bind_updates(parameters);
    if (variant_.bind) variant_.bind(parameters, updates_);
  }
  void read_base(const Checkpoint& base) override {
    updates_.read_base(base);
    if (variant_.read_base) variant_.read_base(base, updates_);
  }
  void initialise(const Checkpoint& base, uint64_t seed) override {
    updates_.initialise(base, seed);
    experts_.initialise(seed);
    if (variant_.initialise) variant_.initialise(base, updates_);
  }
  void begin_step(const StepInfo&) override {
    if (variant_.begin_step) variant_.begin_step();
    experts_.begin_step();
  }
  void end_backward() override { experts_.end_backward(); }
  void after_step(const StepInfo&) override {
    if (variant_.after_step) variant_.after_step();
  }

  at::Tensor embed(const Place& place, const Embedding& embedding, at::Tensor rows) const override {
    return updates_.embed(place.context, embedding, rows);
  }
  std::vector<Patch> patches(const Place& place, const Module& module) const override {
    if (module.expert) return experts_.patches(module);
    std::optional<Patch> patch = updates_.patch(place.context, module);
    const LowRankFactors* factors = updates_.find(module.name);
    if (factors && patch && variant_.patch) variant_.patch(*patch, *factors);
    return patch ? std::vector{std::move(*patch)} : std::vector<Patch>();
  }

  bool starts_from_base() const override { return variant_.options.init != "false"; }
  std::vector<const Module*> adapted() const override {
    std::vector<const Module*> all = updates_.patched();
    const std::vector<const Module*> experts = experts_.modules();
    all.insert(all.end(), experts.begin(), experts.end());
    return all;
  }
  bool acts_between_layers() const override { return false; }
  const TrainedTensors* trained_beside() const override { return &updates_.saved(); }
  bool merges(const TensorRef& tensor) const override {
    return updates_.merges(tensor) || Method::merges(tensor);
  }
  std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& value) const override {
    std::optional<at::Tensor> own = updates_.merged(tensor, value);
    return own ? own : Method::merged(tensor, value);
  }
  std::optional<at::Tensor> unmerged(const TensorRef& tensor, const at::Tensor& merged) const override {
    if (!variant_.why_not_unmerged.empty()) return std::nullopt;
    return updates_.merges(tensor) ? updates_.unmerged(tensor, merged) : Method::unmerged(tensor, merged);
  }
  std::string why_not_unmerged() const override {
    return variant_.why_not_unmerged.empty() ? Method::why_not_unmerged() : variant_.why_not_unmerged;
  }
  bool keeps_tied_head() const override { return updates_.keeps_tied_head(); }

  LowRankForm low_rank_form() const override {
    LowRankForm form = updates_.form();
    if (!experts_.empty()) form.beside.emplace_back("updates of experts (target_parameters)");
    return variant_.form ? variant_.form(std::move(form)) : form;
  }

  AdapterForm& form() override { return *this; }
  const AdapterForm& form() const override { return *this; }
  std::vector<FileTensor> file_tensors(std::vector<FileTensor> planned) const override {
    return variant_.file_tensors ? variant_.file_tensors(std::move(planned)) : planned;
  }
  nlohmann::json config() const override {
    nlohmann::json config = write_low_rank_config(variant_.options, updates_.modules());
    if (variant_.config) variant_.config(config);
    return config;
  }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    nlohmann::json plain = config;
    if (variant_.read_config) variant_.read_config(plain, where);
    read_low_rank_config(variant_.options, plain, where);
  }

 private:
  /// True for variants that are more than factors beside weights.
  bool changes_patches() const {
    return variant_.patch || variant_.initialise || variant_.bind || variant_.form || variant_.begin_step;
  }
  void bind_updates(const ParameterSet& parameters) {
    updates_.bind(parameters);
    experts_.bind(parameters);
  }
  /// Errors: invalid for a pattern that matches nothing that is adapted.
  void check_all_patterns(const TrainPlan& plan) const {
    const LowRankOptions& options = variant_.options;
    if (options.targets.from_file) return;
    for (const auto& [key, patterns] : {std::pair{"rank_pattern", &options.rank_pattern},
                                        std::pair{"alpha_pattern", &options.alpha_pattern}}) {
      const std::vector<std::string> idle = idle_patterns(*patterns, plan.targets);
      check(idle.empty(), ErrorKind::invalid, "{}: {} matches none of the adapted modules", key,
            fmt::join(idle, ", "));
    }
  }

  LowRankVariant variant_;
  LowRankUpdates updates_;
  ExpertUpdates experts_;
};

}  // namespace

std::unique_ptr<Method> make_low_rank_method(LowRankVariant variant) {
  return std::make_unique<LowRankMethod>(std::move(variant));
}

bool is_low_rank_config(const nlohmann::json& config, bool use_dora, const std::vector<std::string>& inits) {
  const bool has_dora = is_given(config, "use_dora") && config["use_dora"] == true;
  if (config.value("peft_type", "") != "LORA" || has_dora != use_dora) return false;
  const nlohmann::json init = config.value("init_lora_weights", nlohmann::json(true));
  const std::string name = init.is_string() ? init.get<std::string>() : "";
  return std::ranges::any_of(inits, [&](const std::string& prefix) {
    return prefix.empty() ? name.empty() : name.starts_with(prefix);
  });
}

}  // namespace lowrank
