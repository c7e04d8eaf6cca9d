// VeRA (Kopiczko et al. 2024, arXiv 2310.11454): one frozen random pair A [r, widest in], B [widest out, r]
// for all modules, and two trained vectors a module.
//   y = W x + b + lambda_b * (B[:out] (lambda_d * (A[:, :in] drop(x))))
// Files are PEFT's: `base_model.model.<module>.vera_lambda_b` [out] and `.vera_lambda_d` [r], and, with
// save_projection, `base_model.vera_A` and `base_model.vera_B`.
#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "base/rng.h"
#include "peft/adapted_modules.h"
#include "peft/low_rank_init.h"
#include "peft/registry.h"

namespace lowrank {
namespace {

constexpr const char* key_a = "base_model.vera_A";
constexpr const char* key_b = "base_model.vera_B";

/// Kaiming's uniform start: U(-sqrt(6 / columns), sqrt(6 / columns)), drawn in f32, so that a seed has one
/// pair.
void kaiming_uniform(const at::Tensor& tensor, at::Generator& generator) {
  const double bound = std::sqrt(6.0 / static_cast<double>(tensor.size(1)));
  tensor.copy_(at::empty(tensor.sizes(), at::kFloat).uniform_(-bound, bound, generator));
}

class Vera final : public Method {
 public:
  std::vector<Field> fields() override {
    std::vector<Field> fields{
        limited(field("rank", rank_, "rows of A and columns of B"), 1, 1 << 20),
        field("projection_prng_key", projection_key_, "seed of A and B"),
        field("save_projection", save_projection_, "write A and B into the adapter"),
        limited(field("dropout", dropout_, "share of the adapter's inputs that are zeroed in training"), 0,
                0.99),
        field("d_initial", d_initial_, "start of lambda_d"),
        one_of(field("bias", bias_, "which of the model's own biases train, too"),
               {"none", "all", "vera_only"})};
    for (Field& field : modules_.fields()) fields.push_back(std::move(field));
    return fields;
  }

  TrainPlan plan(const ModelSpec& spec) override {
    TrainPlan plan;
    modules_.plan(spec, plan);
    widest_in_ = widest_out_ = 0;
    for (const Module* module : modules_.modules()) {
      plan.parameters.push_back({adapter_key(*module, "vera_lambda_b"), {module->out}});
      plan.parameters.push_back({adapter_key(*module, "vera_lambda_d"), {rank_}});
      plan.multiply_adds += rank_ * (module->in + module->out);
      widest_in_ = std::max(widest_in_, module->in);
      widest_out_ = std::max(widest_out_, module->out);
    }
    if (save_projection_) {
      plan.parameters.push_back({key_a, {rank_, widest_in_}, 1, true, true});
      plan.parameters.push_back({key_b, {widest_out_, rank_}, 1, true, true});
    }
    modules_.plan_saved(spec, plan, bias_ == "vera_only" ? "lora_only" : bias_);
    return plan;
  }

  void bind(const ParameterSet& parameters) override {
    const at::NoGradGuard no_grad;
    b_.clear();
    d_.clear();
    for (const Module* module : modules_.modules()) {
      b_.push_back(parameters.at(adapter_key(*module, "vera_lambda_b")));
      d_.push_back(parameters.at(adapter_key(*module, "vera_lambda_d")));
    }
    const at::ScalarType type = parameters.values().scalar_type();
    shared_a_ = save_projection_ ? parameters.at(key_a) : at::empty({rank_, widest_in_}, type);
    shared_b_ = save_projection_ ? parameters.at(key_b) : at::empty({widest_out_, rank_}, type);
    // Those in the file come with it, or with `initialise`.
    if (!save_projection_) draw_projection();
    modules_.bind(parameters);
  }

  void initialise(const Checkpoint& base, uint64_t seed) override {
    const at::NoGradGuard no_grad;
    if (save_projection_) draw_projection();
    for (size_t i = 0; i < b_.size(); ++i) {
      b_[i].zero_();
      d_[i].fill_(d_initial_);
    }
    modules_.initialise(base, seed);
  }

  std::optional<Patch> patch(const Context& context, const Module& module) const override {
    const auto index = modules_.index_of(module.name);
    if (!index) return std::nullopt;
    Patch patch;
    patch.end = module.out;
    patch.A = factor_a(*index);
    patch.B = factor_b(*index);
    if (context.training) patch.dropout = {dropout_, derive_seed(context.dropout_seed, *index)};
    return patch;
  }
  at::Tensor weight(const Context& context, const TensorRef& tensor) const override {
    const auto value = modules_.saved().value(tensor);
    return value ? *value : Hooks::weight(context, tensor);
  }

  bool merges(const TensorRef& tensor) const override { return modules_.merges(tensor); }
  std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& value) const override {
    if (auto trained = modules_.saved().value(tensor)) return trained;
    const size_t index = *modules_.index_of(tensor.module_name());
    return at::addmm(value, factor_b(index), factor_a(index));
  }

  nlohmann::json config() const override {
    nlohmann::json config = {{"peft_type", "VERA"},
                             {"r", rank_},
                             {"projection_prng_key", projection_key_},
                             {"save_projection", save_projection_},
                             {"vera_dropout", dropout_},
                             {"d_initial", d_initial_},
                             {"bias", bias_},
                             {"fan_in_fan_out", false},
                             {"init_weights", true}};
    modules_.write(config);
    config.erase("exclude_modules");
    return config;
  }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    modules_.read(config, where);
    apply(fields(),
          given_values(config, {{"r", "rank"},
                                {"projection_prng_key", "projection_prng_key"},
                                {"save_projection", "save_projection"},
                                {"vera_dropout", "dropout"},
                                {"d_initial", "d_initial"},
                                {"bias", "bias"}}),
          where);
  }

 private:
  void draw_projection() const {
    at::Generator generator = seeded_generator(static_cast<uint64_t>(projection_key_));
    kaiming_uniform(shared_a_, generator);
    kaiming_uniform(shared_b_, generator);
  }

  /// lambda_d * A[:, :in], [r, in].
  at::Tensor factor_a(size_t index) const {
    return shared_a_.narrow(1, 0, modules_.modules()[index]->in) * d_[index].unsqueeze(1);
  }
  /// lambda_b * B[:out], [out, r].
  at::Tensor factor_b(size_t index) const {
    return shared_b_.narrow(0, 0, modules_.modules()[index]->out) * b_[index].unsqueeze(1);
  }

  AdaptedModules modules_;
  int64_t rank_ = 256, projection_key_ = 0;
  int64_t widest_in_ = 0, widest_out_ = 0;
  bool save_projection_ = true;
  double dropout_ = 0, d_initial_ = 0.1;
  std::string bias_ = "none";
  at::Tensor shared_a_, shared_b_;  ///< [r, widest in], [widest out, r]
  std::vector<at::Tensor> b_, d_;   ///< lambda_b [out] and lambda_d [r] by module
};

std::unique_ptr<Method> make() {
  return std::make_unique<Vera>();
}

bool reads(const nlohmann::json& config) {
  return config.value("peft_type", "") == "VERA";
}

constexpr OptionExample examples[] = {
    {"drawn_again", R"({"save_projection": false, "projection_prng_key": 5})"},
    {"narrow", R"({"rank": 5, "d_initial": 1})"},
    {"bias_all", R"({"bias": "all"})"},
    {"bias_own", R"({"bias": "vera_only"})"},
    {"saved", R"({"modules_to_save": ["0"]})"},
};

}  // namespace

extern const MethodInfo vera_method;
const MethodInfo vera_method{"vera",
                             "Kopiczko et al. 2024, arXiv 2310.11454",
                             "trained scales of one shared random low-rank pair",
                             4e-3,
                             make,
                             reads,
                             examples};

}  // namespace lowrank
