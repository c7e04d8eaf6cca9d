// GraLoRA (Jung et al. 2025, arXiv 2505.20355): a grid of k x k small low-rank updates instead of one.
//   y = W x + b + dW drop(x); block (j, n) of dW, [out / k, in / k], is
//     c B_j[n s:(n + 1) s]^T A_n[:, j s:(j + 1) s]^T
//   with s = r / k, c = alpha / (r + hybrid_r), A [k, in / k, r], B [k, r, out / k]. With hybrid_r h > 0, y
//   also has the term c B_general A_general drop(x), A_general [h, in], B_general [out, h] (section 3.3).
// It is a low-rank update of rank k r: row (j, n, e) of A' is A_n[:, j s + e] on block n, column (j, n, e) of
// B' is B_j[n s + e] on block j. B starts at zero. Files are PEFT's (GRALORA):
// `base_model.model.<module>.gralora_A`, `.gralora_B`, `.gralora_A_general.weight`,
// `.gralora_B_general.weight`.
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>

#include "base/error.h"
#include "base/rng.h"
#include "peft/core/adapted_modules.h"
#include "peft/core/low_rank_init.h"
#include "peft/core/module_method.h"
#include "peft/core/registry.h"
#include "peft/core/target_options.h"

namespace lowrank {
namespace {

/// Stream of a micro-batch's dropout seed for the hybrid part.
constexpr uint64_t hybrid_stream = 1ULL << 40;

class GraLora final : public ModuleFormula {
 public:
  std::vector<Field> fields() override {
    return {
        limited(field("rank", rank_, "r"), 1, 1 << 16),
        limited(field("hybrid_r", hybrid_rank_, "rank of an additional plain update; 0: none"), 0, 1 << 16),
        field("alpha", alpha_, "the update is multiplied by alpha / (rank + hybrid_r)"),
        limited(field("gralora_k", k_, "number of blocks along each side of the weight"), 1, 1 << 10),
        limited(field("dropout", dropout_, "share of the adapter's inputs that are zeroed in training"), 0,
                0.99),
        one_of(field("bias", bias_,
                     "the model's own biases that are also trained: all, or with lora_only those of the "
                     "adapted layers"),
               {"none", "all", "gralora_only"})};
  }
  std::string biases() const override { return bias_ == "gralora_only" ? "lora_only" : bias_; }
  void choose(const ModelSpec&, const AdaptedModules& modules) override {
    check(rank_ % k_ == 0, ErrorKind::invalid, "gralora_k {} does not divide the rank {}", k_, rank_);
    for (const Module* module : modules.modules()) {
      check(module->in % k_ == 0 && module->out % k_ == 0, ErrorKind::invalid,
            "gralora_k {} does not divide both sides of {}, {} x {}", k_, module->name, module->out,
            module->in);
    }
  }

  std::vector<ParameterSpec> parameters(const Module& module) const override {
    std::vector<ParameterSpec> specs{{"gralora_A", {k_, module.in / k_, rank_}},
                                     {"gralora_B", {k_, rank_, module.out / k_}}};
    if (hybrid_rank_ > 0) {
      specs.push_back({"gralora_A_general.weight", {hybrid_rank_, module.in}});
      specs.push_back({"gralora_B_general.weight", {module.out, hybrid_rank_}});
    }
    return specs;
  }
  /// In PEFT's order of draws.
  void initialise(const Module&, std::span<const at::Tensor> values,
                  at::Generator& generator) const override {
    const at::Tensor& a = values[0];
    for (int64_t n = 0; n < k_; ++n) {
      at::Tensor block = at::empty({rank_, a.size(1)}, a.options().requires_grad(false));
      uniform_by_columns(block, generator);
      a.select(0, n).copy_(block.t());
    }
    values[1].zero_();
    if (hybrid_rank_ == 0) return;
    for (const at::Tensor& factor : {values[2], values[3], values[2]}) uniform_by_columns(factor, generator);
    values[3].zero_();
  }

  bool resolves() const override { return true; }
  /// A' [k r, in] and B' [out, k r], then the general pair.
  std::vector<at::Tensor> resolved(const Module& module, std::span<const at::Tensor> values) const override {
    const int64_t s = rank_ / k_;
    const at::Tensor one = at::eye(k_, values[0].options().requires_grad(false));
    // [j, n, e, n', i] and [j', o, j, n, e]
    const at::Tensor a = values[0].view({k_, module.in / k_, k_, s}).permute({2, 0, 3, 1}).unsqueeze(3) *
                         one.view({1, k_, 1, k_, 1});
    const at::Tensor b = values[1].view({k_, k_, s, module.out / k_}).permute({0, 3, 1, 2}).unsqueeze(0) *
                         one.view({k_, k_, 1, 1, 1});
    std::vector<at::Tensor> factors{a.reshape({k_ * rank_, module.in}),
                                    b.permute({0, 2, 1, 3, 4}).reshape({module.out, k_ * rank_})};
    factors.insert(factors.end(), values.begin() + 2, values.end());
    return factors;
  }
  std::vector<Patch> patches(const Context& context, const Module&, size_t number,
                             std::span<const at::Tensor> resolved) const override {
    std::vector<Patch> patches;
    for (size_t i = 0; i < resolved.size(); i += 2) {
      Patch& patch = patches.emplace_back();
      patch.A = resolved[i];
      patch.B = resolved[i + 1];
      patch.scale = alpha_ / static_cast<double>(rank_ + hybrid_rank_);
      const uint64_t stream = number + (i > 0 ? hybrid_stream : 0);
      if (context.training) patch.dropout = {dropout_, derive_seed(context.dropout_seed, stream)};
    }
    return patches;
  }

  void write(nlohmann::json& config) const override {
    config.update({{"peft_type", "GRALORA"},
                   {"r", rank_},
                   {"hybrid_r", hybrid_rank_},
                   {"alpha", json_number(alpha_)},
                   {"gralora_dropout", dropout_},
                   {"gralora_k", k_},
                   {"fan_in_fan_out", false},
                   {"bias", bias_},
                   {"init_weights", true}});
    config.erase("exclude_modules");
  }
  void read(const nlohmann::json& config, const std::string& where) override {
    apply(fields(),
          given_values(config, {{"r", "rank"},
                                {"hybrid_r", "hybrid_r"},
                                {"alpha", "alpha"},
                                {"gralora_dropout", "dropout"},
                                {"gralora_k", "gralora_k"},
                                {"bias", "bias"}}),
          where);
  }

 private:
  int64_t rank_ = 32, hybrid_rank_ = 0, k_ = 2;
  double alpha_ = 64, dropout_ = 0;
  std::string bias_ = "none";
};

constexpr OptionExample examples[] = {
    {"small", R"({"rank": 4, "alpha": 8})"},
    {"hybrid", R"({"rank": 8, "gralora_k": 4, "hybrid_r": 3, "bias": "gralora_only"})"},
    {"dropout", R"({"rank": 4, "hybrid_r": 2, "dropout": 0.4})"}};

}  // namespace

extern const MethodInfo gralora_method;
const MethodInfo gralora_method{
    "gralora", "Jung et al. 2025, arXiv 2505.20355", "a grid of small low-rank updates",
    1e-3,      make_module_method<GraLora>,          reads_type<"GRALORA">,
    examples};

}  // namespace lowrank
