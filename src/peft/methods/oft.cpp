// OFT (Qiu et al. 2023, arXiv 2306.07280; its second version, arXiv 2506.19847): rotates blocks of the input.
//   y = W R^T x + b, R block diagonal, each block [k, k] computed from a skew matrix Q (sections 3.3, 3.4):
//   R = I + 2Q + 2Q^2 + .. + 2Q^(t-2) + Q^(t-1), t >= 4 terms of the Cayley transform's series (t = 3 gives
//   the same as 4, t = 2 gives I + 2Q, t = 1 gives I), or R = (I - Q)(I + Q)^-1.
//   For an embedding, E' = E R. With coft the norm of Q is at most eps / sqrt(rows).
// Files are PEFT's (OFT): `base_model.model.<module>.oft_R.weight` [blocks, k (k - 1) / 2], the upper
// triangle of each Q row by row; for an embedding `.oft_embedding_R.weight`.
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/triu_indices.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "peft/core/adapted_modules.h"
#include "peft/core/module_method.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

/// The divisor of `size` nearest to `wanted`; the smaller one if tied.
int64_t nearest_divisor(int64_t size, int64_t wanted) {
  for (int64_t distance = 0;; ++distance) {
    for (const int64_t candidate : {wanted - distance, wanted + distance}) {
      if (candidate >= 1 && candidate <= size && size % candidate == 0) return candidate;
    }
  }
}

/// Skew matrices [n, k, k] from their upper triangles [n, k (k - 1) / 2].
at::Tensor skew(const at::Tensor& upper, int64_t k) {
  const at::Tensor places = at::triu_indices(k, k, 1, at::device(upper.device()).dtype(at::kLong));
  const at::Tensor flat = at::zeros({upper.size(0), k * k}, upper.options().requires_grad(false));
  const at::Tensor q = flat.index_copy(1, places[0] * k + places[1], upper).view({upper.size(0), k, k});
  return q - q.transpose(1, 2);
}

at::Tensor rotation_by_series(const at::Tensor& q, int64_t terms) {
  at::Tensor r = at::eye(q.size(1), q.options().requires_grad(false)).expand(q.sizes());
  if (terms > 1) r = r + 2 * q;
  if (terms <= 2) return r;
  at::Tensor power = at::bmm(q, q);
  r = r + 2 * power;
  for (int64_t i = 3; i < terms - 1; ++i) {
    power = at::bmm(power, q);
    r = r + 2 * power;
  }
  return r + at::bmm(power, q);
}

at::Tensor rotation(const at::Tensor& q) {
  const at::Tensor one = at::eye(q.size(1), q.options().requires_grad(false));
  return at::linalg_solve(one + q, one - q, /*left=*/false);
}

/// Rows v [T, n k] as v_q R_q for each block, R [n or 1, k, k] or its transposes.
at::Tensor by_blocks(const at::Tensor& rows, const at::Tensor& r) {
  const int64_t k = r.size(1), blocks = rows.size(1) / k;
  const at::Tensor parts = rows.to(r.scalar_type()).view({rows.size(0), blocks, k}).transpose(0, 1);
  return at::bmm(parts, r.expand({blocks, k, k})).transpose(0, 1).reshape(rows.sizes());
}

class Oft final : public ModuleFormula {
 public:
  std::vector<Field> fields() override {
    return {limited(field("oft_block_size", block_size_, "size of the rotated blocks; 0: from `rank`"), 0,
                    1 << 20),
            limited(field("rank", blocks_, "number of blocks; 0: from `oft_block_size`"), 0, 1 << 20),
            field("block_share", share_, "one rotation for all blocks"),
            field("use_cayley_neumann", series_, "rotations by a series instead of an inverse"),
            limited(field("num_cayley_neumann_terms", terms_, "terms of the series"), 1, 1000),
            field("coft", constrained_, "keep the rotations close to the identity"),
            limited(field("eps", epsilon_, "how close"), 0, 1e6),
            one_of(field("bias", bias_,
                         "the model's own biases that are also trained: all, or with lora_only those of the "
                         "adapted layers"),
                   {"none", "all", "oft_only"})};
  }
  bool adapts_embeddings() const override { return true; }
  std::string biases() const override { return bias_ == "oft_only" ? "lora_only" : bias_; }
  void choose(const ModelSpec&, const AdaptedModules&) override {
    check((block_size_ == 0) != (blocks_ == 0), ErrorKind::invalid,
          "give oft_block_size or rank, and 0 for the other (they are {} and {})", block_size_, blocks_);
  }

  std::vector<ParameterSpec> parameters(const Module& module) const override {
    const int64_t k = block_of(module);
    return {{module.is_linear() ? "oft_R.weight" : "oft_embedding_R.weight",
             {share_ ? 1 : width_of(module) / k, k * (k - 1) / 2}}};
  }
  void initialise(const Module&, std::span<const at::Tensor> values, at::Generator&) const override {
    values[0].zero_();
  }
  void project(std::span<const at::Tensor> values) const override {
    if (constrained_) values[0].mul_(shrinkage(values[0]));
  }

  bool resolves() const override { return true; }
  /// R, [blocks or 1, k, k].
  std::vector<at::Tensor> resolved(const Module& module, std::span<const at::Tensor> values) const override {
    const int64_t k = block_of(module);
    if (values[0].is_meta()) return {at::empty({values[0].size(0), k, k}, values[0].options())};
    const at::Tensor upper = constrained_ ? values[0] * shrinkage(values[0].detach()) : values[0];
    const at::Tensor q = skew(upper, k);
    return {series_ ? rotation_by_series(q, terms_) : rotation(q)};
  }
  std::vector<Patch> patches(const Context&, const Module& module, size_t,
                             std::span<const at::Tensor> resolved) const override {
    Patch patch;
    patch.in_map.apply = [r = resolved[0]](const at::Tensor& x) { return by_blocks(x, r); };
    patch.in_map.transposed = [r = resolved[0].transpose(1, 2)](const at::Tensor& rows) {
      return by_blocks(rows, r);
    };
    patch.in_map.macs = module.in * block_of(module);
    return {patch};
  }
  at::Tensor embedded(const Module&, const at::Tensor& rows, const at::Tensor&,
                      std::span<const at::Tensor> resolved) const override {
    return by_blocks(rows, resolved[0]);
  }

  void write(nlohmann::json& config) const override {
    config.update({{"peft_type", "OFT"},
                   {"r", blocks_},
                   {"oft_block_size", block_size_},
                   {"module_dropout", 0.0},
                   {"fan_in_fan_out", false},
                   {"bias", bias_},
                   {"init_weights", true},
                   {"coft", constrained_},
                   {"eps", epsilon_},
                   {"block_share", share_},
                   {"use_cayley_neumann", series_},
                   {"num_cayley_neumann_terms", terms_}});
  }
  void read(const nlohmann::json& config, const std::string& where) override {
    check(config.contains("oft_block_size"), ErrorKind::unsupported,
          "{}: no oft_block_size: a file of the first OFT, whose rotations are other ones", where);
    apply(fields(),
          given_values(config, {{"r", "rank"},
                                {"oft_block_size", "oft_block_size"},
                                {"bias", "bias"},
                                {"coft", "coft"},
                                {"eps", "eps"},
                                {"block_share", "block_share"},
                                {"use_cayley_neumann", "use_cayley_neumann"},
                                {"num_cayley_neumann_terms", "num_cayley_neumann_terms"}}),
          where);
  }

 private:
  static int64_t width_of(const Module& module) { return module.is_linear() ? module.in : module.out; }
  int64_t block_of(const Module& module) const {
    const int64_t width = width_of(module);
    if (block_size_ > 0) return nearest_divisor(width, std::min(block_size_, width));
    return width / nearest_divisor(width, std::min(blocks_, width));
  }
  /// The factor for each row with which the norm of its Q, sqrt(2) |v|, is at most eps / sqrt(rows), [n, 1].
  at::Tensor shrinkage(const at::Tensor& upper) const {
    const double most = epsilon_ / std::sqrt(static_cast<double>(upper.size(0)));
    const at::Tensor norm = upper.norm(2, 1, true) * std::sqrt(2.0);
    return (most / norm.clamp_min(1e-30)).clamp_max(1);
  }

  int64_t block_size_ = 32, blocks_ = 0, terms_ = 5;
  bool share_ = false, series_ = true, constrained_ = false;
  double epsilon_ = 6e-5;
  std::string bias_ = "none";
};

constexpr OptionExample examples[] = {
    {"exact", R"({"oft_block_size": 8, "use_cayley_neumann": false, "bias": "oft_only"})"},
    {"blocks", R"({"oft_block_size": 0, "rank": 4, "num_cayley_neumann_terms": 7})"},
    {"shared", R"({"oft_block_size": 16, "block_share": true, "num_cayley_neumann_terms": 3})"},
    {"constrained", R"({"oft_block_size": 8, "coft": true, "eps": 50})"}};

}  // namespace

extern const MethodInfo oft_method;
const MethodInfo oft_method{"oft",
                            "Qiu et al. 2023, arXiv 2306.07280",
                            "trained rotations of blocks of the input",
                            1e-3,
                            make_module_method<Oft>,
                            reads_type<"OFT">,
                            examples};

}  // namespace lowrank
