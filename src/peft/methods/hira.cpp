// HiRA (Huang et al., ICLR 2025, openreview TwJrTz9cRS): the update is the elementwise product of the base's
// weight and a low-rank matrix, which may have full rank.
//   y = W x + b + (W * (B A)) drop(x), A [r, in], B [out, r]
//   For an embedding, E'[v] = E[v] * (1 + (B A)[:, v]).
// B starts at zero (for an embedding, A). Files are PEFT's (HIRA): `base_model.model.<module>.hira_A` and
// `.hira_B`, for an embedding `.hira_embedding_A` and `.hira_embedding_B`. PEFT ignores its own rank_pattern.
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>

#include "base/rng.h"
#include "peft/core/adapted_modules.h"
#include "peft/core/low_rank_init.h"
#include "peft/core/module_method.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

class Hira final : public ModuleFormula {
 public:
  std::vector<Field> fields() override {
    return {
        limited(field("rank", rank_, "r, the number of rows of A and columns of B"), 1, 1 << 20),
        limited(field("dropout", dropout_, "share of the adapter's inputs that are zeroed in training"), 0,
                0.99),
        one_of(field("init", init_, "initial values of A: uniform (true) or normal"), {"true", "gaussian"})};
  }
  bool adapts_embeddings() const override { return true; }

  std::vector<ParameterSpec> parameters(const Module& module) const override {
    const std::string name = module.is_linear() ? "hira_" : "hira_embedding_";
    return {{name + "A", {rank_, module.in}}, {name + "B", {module.out, rank_}}};
  }
  /// In PEFT's order of draws.
  void initialise(const Module& module, std::span<const at::Tensor> values,
                  at::Generator& generator) const override {
    const at::Tensor &a = values[0], &b = values[1];
    a.normal_(0, 1, generator);
    b.normal_(0, 1, generator);
    if (!module.is_linear()) {
      a.zero_();
      b.normal_(0, 1, generator);
      return;
    }
    if (init_ == "gaussian") {
      a.normal_(0, 1 / static_cast<double>(rank_), generator);
    } else {
      uniform_by_columns(a, generator);
    }
    b.zero_();
  }

  std::vector<Patch> patches(const Context& context, const Module&, size_t number,
                             std::span<const at::Tensor> values) const override {
    Patch patch;
    patch.update.parameters = {values[0], values[1]};
    patch.update.rows = [](const at::Tensor& w, const std::vector<at::Tensor>& parameters, int64_t begin,
                           int64_t end) {
      return w * at::mm(parameters[1].narrow(0, begin, end - begin), parameters[0]);
    };
    if (context.training) patch.dropout = {dropout_, derive_seed(context.dropout_seed, number)};
    return {patch};
  }
  at::Tensor embedded(const Module&, const at::Tensor& rows, const at::Tensor& ids,
                      std::span<const at::Tensor> values) const override {
    return rows * (at::mm(values[0].index_select(1, ids).t(), values[1].t()) + 1);
  }

  void write(nlohmann::json& config) const override {
    config.update({{"peft_type", "HIRA"},
                   {"r", rank_},
                   {"hira_dropout", dropout_},
                   {"fan_in_fan_out", false},
                   {"rank_pattern", nlohmann::json::object()},
                   {"init_weights", init_ == "true" ? nlohmann::json(true) : nlohmann::json(init_)}});
  }
  void read(const nlohmann::json& config, const std::string& where) override {
    apply(fields(), given_values(config, {{"r", "rank"}, {"hira_dropout", "dropout"}}), where);
    init_ = config.value("init_weights", nlohmann::json(true)) == "gaussian" ? "gaussian" : "true";
  }

 private:
  int64_t rank_ = 32;
  double dropout_ = 0;
  std::string init_ = "true";
};

constexpr OptionExample examples[] = {{"dropout", R"({"rank": 4, "dropout": 0.4})"},
                                      {"gaussian", R"({"rank": 3, "init": "gaussian"})"}};

}  // namespace

extern const MethodInfo hira_method;
const MethodInfo hira_method{"hira",
                             "Huang et al. 2025, openreview TwJrTz9cRS",
                             "elementwise product of the weight with a low-rank matrix",
                             4e-3,
                             make_module_method<Hira>,
                             reads_type<"HIRA">,
                             examples};

}  // namespace lowrank
