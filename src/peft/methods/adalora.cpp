// AdaLoRA (Zhang et al. 2023, arXiv 2303.10512): s B diag(E) A with ranks allocated by importance during
// training.
//   y = W x + b + alpha / (init_r + 1e-5) B ((E * A) drop(x)); E initially zero, A and B N(0, 0.02)
//   loss += orth_reg_weight mean(||A A^T - I||_F, ||B^T B - I||_F)
// Files are PEFT's: `base_model.model.<module>.lora_A` [r', in], `.lora_B` [out, r'], `.lora_E` [r', 1], for
// the ranks that were kept, which `rank_pattern` lists.
#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "base/rng.h"
#include "peft/core/adapted_modules.h"
#include "peft/core/from_patches.h"
#include "peft/core/registry.h"
#include "peft/core/resolved_values.h"
#include "peft/core/target_options.h"
#include "peft/low_rank/rank_budget.h"
#include "peft/low_rank/ranked_factors.h"

namespace lowrank {
namespace {

class AdaLora final : public Method, public AdapterForm {
 public:
  std::vector<Field> fields() override {
    constexpr int64_t most = int64_t{1} << 40;
    std::vector<Field> fields{
        limited(field("init_r", budget_.init_rank, "initial rank of each module"), 1, 1 << 20),
        limited(field("target_r", budget_.target_rank, "mean final rank"), 0, 1 << 20),
        field("alpha", alpha_, "the update is multiplied by alpha / init_r"),
        limited(field("dropout", dropout_, "share of the adapter's inputs that are zeroed in training"), 0,
                0.99),
        limited(field("tinit", budget_.t_init, "steps before the first pruning"), 0, most),
        limited(field("tfinal", budget_.t_final, "final steps with fixed ranks"), 0, most),
        limited(field("delta_t", budget_.interval, "steps between prunings"), 1, most),
        limited(field("total_step", budget_.total_steps, "steps of the schedule; 0: those of the run"), 0,
                most),
        limited(field("beta1", beta1_, "decay of the average sensitivity"), 0, 1),
        limited(field("beta2", beta2_, "decay of the average uncertainty"), 0, 1),
        limited(field("orth_reg_weight", orthogonality_, "weight of the orthogonality term"), 0, 1e6),
        one_of(field("bias", bias_,
                     "the model's own biases that are also trained: all, or with lora_only those of the "
                     "adapted layers"),
               {"none", "all", "lora_only"})};
    for (Field& field : modules_.fields()) fields.push_back(std::move(field));
    return fields;
  }

  TrainPlan plan(const ModelSpec& spec) override {
    TrainPlan plan;
    modules_.plan(spec, plan);
    for (const Module* module : modules_.modules()) {
      for (ParameterSpec& parameter : RankedFactorSet::parameters(*module, rank_of(*module)))
        plan.parameters.push_back(std::move(parameter));
    }
    take(ParameterSet::stand_ins(plan.parameters));
    add_patch_costs(*this, plan);
    modules_.plan_saved(spec, plan, bias_);
    return plan;
  }

  void bind(const ParameterSet& parameters) override {
    take(parameters);
    modules_.bind(parameters);
  }

  void initialise(const Checkpoint& base, uint64_t seed) override {
    factors_.initialise(0.02, seed);
    modules_.initialise(base, seed);
  }

  std::vector<Patch> patches(const Place& place, const Module& module) const override {
    const auto index = modules_.index_of(module.name);
    // A module may have lost all its ranks.
    if (!index || factors_.of(*index).e.numel() == 0) return {};
    const RankedFactors& factors = factors_.of(*index);
    Patch patch;
    patch.end = module.out;
    patch.A = scaled_.known() ? scaled_.of(*index).front() : factors.a * factors.e;
    patch.B = factors.b;
    patch.scale = scale();
    const Context& context = place.context;
    if (context.training) patch.dropout = {dropout_, derive_seed(context.dropout_seed, *index)};
    return {patch};
  }
  std::vector<const Module*> adapted() const override { return modules_.modules(); }
  bool acts_between_layers() const override { return false; }
  const TrainedTensors* trained_beside() const override { return &modules_.saved(); }

  at::Tensor regularizer() override {
    return orthogonality_ == 0 ? at::Tensor() : factors_.orthogonality(orthogonality_);
  }

  void begin_step(const StepInfo& info) override {
    const auto compute = [&] {
      ResolvedValues::Values values;
      for (at::Tensor& rows : factors_.scaled_rows()) values.push_back({std::move(rows)});
      return values;
    };
    scaled_.begin_step(compute);
    if (info.total_steps == 0) return;
    schedule_ = budget_;
    if (schedule_.total_steps == 0) schedule_.total_steps = info.total_steps;
    check(schedule_.t_init < schedule_.total_steps - schedule_.t_final, ErrorKind::invalid,
          "adalora: tinit {} must be below total_step {} less tfinal {}", schedule_.t_init,
          schedule_.total_steps, schedule_.t_final);
  }

  void end_backward() override { scaled_.end_backward(); }
  void after_step(const StepInfo& info) override {
    scaled_.clear();
    if (info.total_steps == 0) return;
    const at::NoGradGuard no_grad;
    if (!schedule_.is_final(info.step)) factors_.measure(info.gradient_scale, beta1_, beta2_);
    if (schedule_.allocates(info.step) && factors_.measured()) factors_.allocate(schedule_, info.step);
    factors_.clear_dropped();
  }

  std::vector<FileTensor> state() const override { return factors_.state(); }
  void set_state(const std::vector<FileTensor>& state) override { factors_.set_state(state); }

  AdapterForm& form() override { return *this; }
  const AdapterForm& form() const override { return *this; }
  std::vector<FileTensor> file_tensors(std::vector<FileTensor> planned) const override {
    return factors_.without_dropped(std::move(planned));
  }
  nlohmann::json config() const override;
  void read_config(const nlohmann::json& config, const std::string& where) override;

 private:
  void take(const ParameterSet& parameters) {
    factors_.take(modules_.modules(), parameters);
    scaled_.clear();
  }

  double scale() const { return alpha_ / (static_cast<double>(budget_.init_rank) + 1e-5); }

  /// init_r, or the number of ranks kept in a file's rank_pattern.
  int64_t rank_of(const Module& module) const {
    const auto found = pattern_.find(pattern_key(module));
    return found == pattern_.end() ? budget_.init_rank
                                   : std::count(found->second.begin(), found->second.end(), true);
  }

  AdaptedModules modules_;
  BudgetSchedule budget_, schedule_;  ///< as configured, and of the run
  double alpha_ = 8, dropout_ = 0, beta1_ = 0.85, beta2_ = 0.85, orthogonality_ = 0.5;
  std::string bias_ = "none";
  RankPattern pattern_;  ///< rank_pattern from a file
  RankedFactorSet factors_;
  ResolvedValues scaled_;  ///< E * A by module
};

nlohmann::json AdaLora::config() const {
  nlohmann::json pattern = pattern_.empty() ? nlohmann::json() : nlohmann::json(pattern_);
  factors_.write_pattern(pattern);
  nlohmann::json config = {
      {"peft_type", "ADALORA"},
      {"r", 8},
      {"init_r", budget_.init_rank},
      {"target_r", budget_.target_rank},
      {"lora_alpha", json_number(alpha_)},
      {"lora_dropout", dropout_},
      {"tinit", budget_.t_init},
      {"tfinal", budget_.t_final},
      {"deltaT", budget_.interval},
      {"total_step",
       schedule_.total_steps > 0 ? schedule_.total_steps : std::max<int64_t>(1, budget_.total_steps)},
      {"beta1", beta1_},
      {"beta2", beta2_},
      {"orth_reg_weight", orthogonality_},
      {"rank_pattern", pattern},
      {"bias", bias_},
      {"fan_in_fan_out", false},
      {"use_dora", false},
      {"use_rslora", false},
      {"init_lora_weights", true}};
  modules_.write(config);
  return config;
}

void AdaLora::read_config(const nlohmann::json& config, const std::string& where) {
  require_neutral(config, {{"use_dora", {false}}, {"use_rslora", {false}}, {"lora_bias", {false}}}, where);
  modules_.read(config, where);
  apply(fields(),
        given_values(config, {{"init_r", "init_r"},
                              {"target_r", "target_r"},
                              {"lora_alpha", "alpha"},
                              {"lora_dropout", "dropout"},
                              {"tinit", "tinit"},
                              {"tfinal", "tfinal"},
                              {"deltaT", "delta_t"},
                              {"total_step", "total_step"},
                              {"beta1", "beta1"},
                              {"beta2", "beta2"},
                              {"orth_reg_weight", "orth_reg_weight"},
                              {"bias", "bias"}}),
        where);
  // PEFT uses the rank if lora_alpha is not positive.
  if (alpha_ <= 0) alpha_ = is_given(config, "r") && config["r"].is_number() ? config["r"].get<double>() : 8;
  if (!is_given(config, "rank_pattern")) return;
  try {
    pattern_ = config["rank_pattern"].get<RankPattern>();
  } catch (const nlohmann::json::exception&) {
    fail(ErrorKind::invalid, "{}: rank_pattern must be lists of true and false", where);
  }
}

std::unique_ptr<Method> make() {
  return std::make_unique<AdaLora>();
}

constexpr OptionExample examples[] = {
    {"dropout", R"({"dropout": 0.3})"},
    {"early", R"({"init_r": 6, "target_r": 2, "tinit": 2, "tfinal": 5, "delta_t": 2, "total_step": 20})"},
    {"free", R"({"orth_reg_weight": 0})"},
    {"bias_all", R"({"bias": "all"})"},
    {"saved", R"({"modules_to_save": ["0"]})"},
};

}  // namespace

extern const MethodInfo adalora_method;
const MethodInfo adalora_method{"adalora",
                                "Zhang et al. 2023, arXiv 2303.10512",
                                "low-rank updates whose ranks follow their importance",
                                4e-3,
                                make,
                                reads_type<"ADALORA">,
                                examples};

}  // namespace lowrank
