// VeRA (Kopiczko et al. 2024, arXiv 2310.11454): one frozen random pair A [r, widest in], B [widest out, r]
// for all modules, and two trained vectors per module.
//   y = W x + b + lambda_b * (B[:out] (lambda_d * (A[:, :in] drop(x))))
// Files are PEFT's: `base_model.model.<module>.vera_lambda_b` [out] and `.vera_lambda_d` [r], and, with
// save_projection, `base_model.vera_A` and `base_model.vera_B`.
#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "base/rng.h"
#include "peft/core/adapted_modules.h"
#include "peft/core/low_rank_init.h"
#include "peft/core/module_method.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

constexpr const char* key_a = "base_model.vera_A";
constexpr const char* key_b = "base_model.vera_B";

/// Kaiming's uniform initialisation: U(-sqrt(6 / columns), sqrt(6 / columns)), drawn in f32, so that a seed
/// gives the same pair in every type.
void kaiming_uniform(const at::Tensor& tensor, at::Generator& generator) {
  const double bound = std::sqrt(6.0 / static_cast<double>(tensor.size(1)));
  tensor.copy_(at::empty(tensor.sizes(), at::kFloat).uniform_(-bound, bound, generator));
}

class Vera final : public ModuleFormula {
 public:
  std::vector<Field> fields() override {
    return {limited(field("rank", rank_, "r, the number of rows of A and columns of B"), 1, 1 << 20),
            field("projection_prng_key", projection_key_, "seed of A and B"),
            field("save_projection", save_projection_, "write A and B to the adapter file"),
            limited(field("dropout", dropout_, "share of the adapter's inputs that are zeroed in training"),
                    0, 0.99),
            field("d_initial", d_initial_, "initial value of lambda_d"),
            one_of(field("bias", bias_,
                         "the model's own biases that are also trained: all, or with lora_only those of the "
                         "adapted layers"),
                   {"none", "all", "vera_only"})};
  }
  std::string biases() const override { return bias_ == "vera_only" ? "lora_only" : bias_; }
  void choose(const ModelSpec&, const AdaptedModules& modules) override {
    widest_in_ = widest_out_ = 0;
    for (const Module* module : modules.modules()) {
      widest_in_ = std::max(widest_in_, module->in);
      widest_out_ = std::max(widest_out_, module->out);
    }
  }

  std::vector<ParameterSpec> parameters(const Module& module) const override {
    return {{"vera_lambda_b", {module.out}}, {"vera_lambda_d", {rank_}}};
  }
  std::vector<ParameterSpec> shared_parameters() const override {
    if (!save_projection_) return {};
    return {{.name = key_a, .shape = {rank_, widest_in_}, .frozen = true},
            {.name = key_b, .shape = {widest_out_, rank_}, .frozen = true}};
  }
  void bind(const ParameterSet& parameters) override {
    const at::NoGradGuard no_grad;
    const at::TensorOptions options = parameters.options();
    a_ = save_projection_ ? parameters.at(key_a) : at::empty({rank_, widest_in_}, options);
    b_ = save_projection_ ? parameters.at(key_b) : at::empty({widest_out_, rank_}, options);
    // A saved pair is read from the file, or drawn by `initialise_shared`.
    if (!save_projection_ && !a_.is_meta()) draw_projection();
  }
  void initialise_shared() override {
    if (save_projection_) draw_projection();
  }
  void initialise(const Module&, std::span<const at::Tensor> values, at::Generator&) const override {
    values[0].zero_();
    values[1].fill_(d_initial_);
  }

  bool resolves() const override { return true; }
  /// lambda_d * A[:, :in], [r, in], and lambda_b * B[:out], [out, r].
  std::vector<at::Tensor> resolved(const Module& module, std::span<const at::Tensor> values) const override {
    return {a_.narrow(1, 0, module.in) * values[1].unsqueeze(1),
            b_.narrow(0, 0, module.out) * values[0].unsqueeze(1)};
  }
  std::vector<Patch> patches(const Context& context, const Module&, size_t number,
                             std::span<const at::Tensor> resolved) const override {
    Patch patch;
    patch.A = resolved[0];
    patch.B = resolved[1];
    if (context.training) patch.dropout = {dropout_, derive_seed(context.dropout_seed, number)};
    return {patch};
  }

  void write(nlohmann::json& config) const override {
    config.update({{"peft_type", "VERA"},
                   {"r", rank_},
                   {"projection_prng_key", projection_key_},
                   {"save_projection", save_projection_},
                   {"vera_dropout", dropout_},
                   {"d_initial", d_initial_},
                   {"bias", bias_},
                   {"fan_in_fan_out", false},
                   {"init_weights", true}});
    config.erase("exclude_modules");
  }
  void read(const nlohmann::json& config, const std::string& where) override {
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
    kaiming_uniform(a_, generator);
    kaiming_uniform(b_, generator);
  }

  int64_t rank_ = 256, projection_key_ = 0;
  int64_t widest_in_ = 0, widest_out_ = 0;
  bool save_projection_ = true;
  double dropout_ = 0, d_initial_ = 0.1;
  std::string bias_ = "none";
  at::Tensor a_, b_;  ///< [r, widest in], [widest out, r]
};

constexpr OptionExample examples[] = {
    {"dropout", R"({"dropout": 0.3})"},
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
                             2e-2,
                             make_module_method<Vera>,
                             reads_type<"VERA">,
                             examples};

}  // namespace lowrank
