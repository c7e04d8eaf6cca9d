// MiSS (Kang and Yin 2024, arXiv 2409.15371, formerly Bone and DiSHA): sums over shards of the input, times
// one matrix M.
//   default: y = W x + b + M^T S, S_j = sum of drop(x)_i over i = j mod r; M [r, out]
//   mini:    the same with the columns of M [r, mini_r] repeated over the rows of W
//   bat:     of the r x r blocks W_pq (p along the rows), W'_pq = W_pq (I + M_p) + M_p; M [out / r, r, r]
// S is A x with A[j, i] = 1 where i mod r = j, so the first two are low-rank updates with a fixed A. M starts
// at zero. Files are PEFT's (MISS): `base_model.model.<module>.miss_block`; init_weights names the variant.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>

#include "base/error.h"
#include "base/rng.h"
#include "peft/core/adapted_modules.h"
#include "peft/core/module_method.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

/// U(W) of the bat variant for rows w [n r, in] of W, with their blocks M [n, r, r].
at::Tensor block_update(const at::Tensor& w, const at::Tensor& m) {
  const int64_t blocks = m.size(0), r = m.size(1), across = w.size(1) / r;
  const at::Tensor product = at::bmm(w.view({blocks, r * across, r}), m).view({blocks, r, across, r});
  return (product + m.unsqueeze(2)).reshape(w.sizes());
}

class Miss final : public ModuleFormula {
 public:
  std::vector<Field> fields() override {
    return {limited(field("rank", rank_, "number of shards of the input"), 1, 1 << 20),
            one_of(field("variant", variant_, "how M acts on the weight"), {"default", "mini", "bat"}),
            limited(field("mini_r", mini_rank_, "columns of M in variant mini"), 1, 1 << 20),
            limited(field("dropout", dropout_, "share of the adapter's inputs that are zeroed in training"),
                    0, 0.99),
            one_of(field("bias", bias_,
                         "the model's own biases that are also trained: all, or with lora_only those of the "
                         "adapted layers"),
                   {"none", "all", "MiSS_only"})};
  }
  std::string biases() const override { return bias_ == "MiSS_only" ? "lora_only" : bias_; }
  void choose(const ModelSpec&, const AdaptedModules& modules) override {
    for (const Module* module : modules.modules()) {
      check(rank_ <= module->in, ErrorKind::invalid, "rank {} is more than the {} inputs of {}", rank_,
            module->in, module->name);
      check(variant_ != "mini" || module->out % mini_rank_ == 0, ErrorKind::invalid,
            "mini_r {} does not divide the {} outputs of {}", mini_rank_, module->out, module->name);
      check(variant_ != "bat" || (module->in % rank_ == 0 && module->out % rank_ == 0), ErrorKind::invalid,
            "variant bat: rank {} does not divide both sides of {}, {} x {}", rank_, module->name,
            module->out, module->in);
    }
  }

  std::vector<ParameterSpec> parameters(const Module& module) const override {
    if (variant_ == "bat") return {{"miss_block", {module.out / rank_, rank_, rank_}}};
    return {{"miss_block", {rank_, variant_ == "mini" ? mini_rank_ : module.out}}};
  }
  void initialise(const Module&, std::span<const at::Tensor> values, at::Generator&) const override {
    values[0].zero_();
  }

  bool resolves() const override { return variant_ != "bat"; }
  /// A [r, in] and B = M^T [out, r]; for the variant bat, M itself.
  std::vector<at::Tensor> resolved(const Module& module, std::span<const at::Tensor> values) const override {
    const at::Tensor& m = values[0];
    if (variant_ == "bat") return {m};
    const auto numbers = m.options().dtype(at::kLong).requires_grad(false);
    const at::Tensor shard = at::arange(module.in, numbers).remainder(rank_);
    const at::Tensor a = shard.unsqueeze(0).eq(at::arange(rank_, numbers).unsqueeze(1)).to(m.scalar_type());
    return {a, variant_ == "mini" ? m.repeat({1, module.out / mini_rank_}).t() : m.t()};
  }
  std::vector<Patch> patches(const Context& context, const Module&, size_t number,
                             std::span<const at::Tensor> resolved) const override {
    Patch patch;
    if (variant_ == "bat") {
      patch.update.parameters = {resolved[0]};
      patch.update.group = rank_;
      patch.update.rows = [r = rank_](const at::Tensor& w, const std::vector<at::Tensor>& parameters,
                                      int64_t begin, int64_t end) {
        return block_update(w, parameters[0].narrow(0, begin / r, (end - begin) / r));
      };
      return {patch};
    }
    patch.A = resolved[0];
    patch.B = resolved[1];
    if (context.training) patch.dropout = {dropout_, derive_seed(context.dropout_seed, number)};
    return {patch};
  }

  void write(nlohmann::json& config) const override {
    config.update(
        {{"peft_type", "MISS"},
         {"r", rank_},
         {"miss_dropout", dropout_},
         {"mini_r", mini_rank_},
         {"bias", bias_},
         {"init_weights", variant_ == "default" ? nlohmann::json(true) : nlohmann::json(variant_)}});
  }
  void read(const nlohmann::json& config, const std::string& where) override {
    apply(fields(),
          given_values(config,
                       {{"r", "rank"}, {"miss_dropout", "dropout"}, {"mini_r", "mini_r"}, {"bias", "bias"}}),
          where);
    const nlohmann::json init = config.value("init_weights", nlohmann::json(true));
    variant_ = init.is_string() ? init.get<std::string>() : "default";
    check(variant_ == "default" || variant_ == "mini" || variant_ == "bat", ErrorKind::unsupported,
          "{}: init_weights {} is not known (true, false, mini or bat)", where, init.dump());
  }

 private:
  int64_t rank_ = 64, mini_rank_ = 1;
  double dropout_ = 0;
  std::string variant_ = "default", bias_ = "none";
};

constexpr OptionExample examples[] = {{"small", R"({"rank": 4, "bias": "MiSS_only"})"},
                                      {"mini", R"({"rank": 4, "variant": "mini", "mini_r": 8})"},
                                      {"bat", R"({"rank": 4, "variant": "bat"})"},
                                      {"dropout", R"({"rank": 5, "dropout": 0.4})"}};

}  // namespace

extern const MethodInfo miss_method;
const MethodInfo miss_method{"miss",
                             "Kang and Yin 2024, arXiv 2409.15371",
                             "one trained matrix for sums over shards of the input",
                             1e-3,
                             make_module_method<Miss>,
                             reads_type<"MISS">,
                             examples};

}  // namespace lowrank
