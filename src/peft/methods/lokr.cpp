// LoKr (Yeh et al. 2023, LyCORIS, arXiv 2309.14859): the update is a Kronecker product.
//   y = W x + b + (alpha / r) (w1 (x) w2) x,  w1 [l, m], w2 [k, n], out = l k, in = m n; each whole or a
//   product of two factors of rank r. With x as X [m, n], the update's product is w1 X w2^T.
// Files are PEFT's: `base_model.model.<module>.lokr_w1` or `lokr_w1_a` and `lokr_w1_b`, and so on.
#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>

#include "base/error.h"
#include "peft/core/low_rank_init.h"
#include "peft/core/module_method.h"
#include "peft/core/registry.h"
#include "peft/low_rank/lycoris_options.h"

namespace lowrank {
namespace {

/// Two divisors whose product is `size`. The first is a positive `factor` that divides `size`, else the
/// largest divisor up to its root (and up to a positive `factor`).
std::pair<int64_t, int64_t> factorised(int64_t size, int64_t factor) {
  if (factor > 0 && size % factor == 0) return {factor, size / factor};
  int64_t first = 1;
  for (int64_t divisor = 1; divisor * divisor <= size; ++divisor) {
    if (size % divisor == 0 && (factor < 0 || divisor <= factor)) first = divisor;
  }
  return {first, size / first};
}

struct Shapes {
  int64_t rank, l, k, m, n;
  bool split_1, split_2;
};

struct LoKr final : ModuleFormula {
  std::vector<Field> fields() override {
    std::vector<Field> fields = options.fields();
    fields.push_back(limited(
        field("decompose_factor", decompose_factor, "size of the first matrix; -1: near the square root"), -1,
        1 << 20));
    fields.push_back(field("decompose_both", decompose_both, "also split the first matrix into factors"));
    fields.push_back(field("rank_dropout_scale", rank_dropout_scale,
                           "divide what `rank_dropout` keeps by the share that it keeps"));
    return fields;
  }
  void choose(const ModelSpec&, const AdaptedModules& modules) override {
    check(decompose_factor != 0, ErrorKind::invalid, "decompose_factor must be -1 or at least 1");
    options.check_patterns(modules);
  }

  std::vector<ParameterSpec> parameters(const Module& module) const override {
    const Shapes s = shapes(module);
    std::vector<ParameterSpec> specs;
    if (s.split_1) {
      specs.push_back({"lokr_w1_a", {s.l, s.rank}});
      specs.push_back({"lokr_w1_b", {s.rank, s.m}});
    } else {
      specs.push_back({"lokr_w1", {s.l, s.m}});
    }
    if (s.split_2) {
      specs.push_back({"lokr_w2_a", {s.k, s.rank}});
      specs.push_back({"lokr_w2_b", {s.rank, s.n}});
    } else {
      specs.push_back({"lokr_w2", {s.k, s.n}});
    }
    return specs;
  }
  void initialise(const Module&, std::span<const at::Tensor> values,
                  at::Generator& generator) const override {
    values[0].zero_();
    for (const at::Tensor& factor : values.subspan(1)) uniform_by_columns(factor, generator);
  }

  bool resolves() const override { return true; }
  /// (alpha / r) w1, then w2 or its two factors.
  std::vector<at::Tensor> resolved(const Module& module, std::span<const at::Tensor> values) const override {
    const bool split = shapes(module).split_1;
    std::vector<at::Tensor> parts{(split ? at::mm(values[0], values[1]) : values[0]) *
                                  options.scale_of(module)};
    const std::span<const at::Tensor> second = values.subspan(split ? 2 : 1);
    parts.insert(parts.end(), second.begin(), second.end());
    return parts;
  }
  std::vector<Patch> patches(const Context& context, const Module& module, size_t number,
                             std::span<const at::Tensor> resolved) const override {
    if (options.skips(context, number)) return {};
    const at::Tensor mask =
        options.row_mask(context, module, number, rank_dropout_scale, resolved[0].device());
    const Shapes s = shapes(module);
    Patch patch;
    patch.branch = [mask, parts = std::vector(resolved.begin(), resolved.end())](const at::Tensor& x) {
      const at::Tensor& w1 = parts[0];
      at::Tensor y = x.to(w1.scalar_type()).view({x.size(0) * w1.size(1), -1});  // [T m, n]
      for (size_t i = parts.size() - 1; i > 0; --i) y = at::mm(y, parts[i].t());
      y = at::matmul(w1, y.view({x.size(0), w1.size(1), -1})).flatten(1, 2);  // [T, l k]
      return mask.defined() ? y * mask : y;
    };
    patch.branch_is_linear = true;
    patch.branch_macs = s.m * (s.split_2 ? s.rank * (s.n + s.k) : s.n * s.k) + s.l * s.m * s.k;
    return {patch};
  }

  void write(nlohmann::json& config) const override {
    config.update({{"peft_type", "LOKR"},
                   {"use_effective_conv2d", false},
                   {"decompose_factor", decompose_factor},
                   {"decompose_both", decompose_both},
                   {"rank_dropout_scale", rank_dropout_scale}});
    options.write(config);
  }
  void read(const nlohmann::json& config, const std::string& where) override {
    options.read(config, where);
    apply(fields(),
          given_values(config, {{"decompose_factor", "decompose_factor"},
                                {"decompose_both", "decompose_both"},
                                {"rank_dropout_scale", "rank_dropout_scale"}}),
          where);
  }

  Shapes shapes(const Module& module) const {
    const auto [m, n] = factorised(module.in, decompose_factor);
    const auto [l, k] = factorised(module.out, decompose_factor);
    const int64_t rank = options.rank_of(module);
    return {rank, l, k, m, n, decompose_both && 2 * rank < std::max(l, m), 2 * rank < std::max(k, n)};
  }

  LycorisOptions options;
  int64_t decompose_factor = -1;
  bool decompose_both = false, rank_dropout_scale = false;
};

constexpr OptionExample examples[] = {
    {"both", R"({"decompose_both": true, "rank": 2})"},
    {"factor", R"({"decompose_factor": 2, "rank": 2})"},
    {"dropped_rows", R"({"rank_dropout": 0.3, "rank_dropout_scale": true})"},
    {"dropped_modules", R"({"module_dropout": 0.4, "target_modules": "all-linear"})"},
    {"patterns", R"({"rank_pattern": {".*\\.1\\..*": 3}, "alpha_pattern": {".*\\.0\\..*": 5}})"},
};

}  // namespace

extern const MethodInfo lokr_method;
const MethodInfo lokr_method{"lokr",
                             "Yeh et al. 2023, arXiv 2309.14859",
                             "update that is a Kronecker product",
                             2e-3,
                             make_module_method<LoKr>,
                             reads_type<"LOKR">,
                             examples};

}  // namespace lowrank
