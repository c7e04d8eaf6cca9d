// LoKr (Yeh et al. 2023, LyCORIS, arXiv 2309.14859): the update is a Kronecker product.
//   y = W x + b + (alpha / r) (w1 (x) w2) x,  w1 [l, m], w2 [k, n], out = l k, in = m n; each whole or a
//   product of two factors of rank r. With x as X [m, n], the update's product is w1 X w2^T.
// Files are PEFT's: `base_model.model.<module>.lokr_w1` or `lokr_w1_a` and `lokr_w1_b`, and so on.
#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/kron.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>

#include "base/error.h"
#include "peft/low_rank_init.h"
#include "peft/lycoris_options.h"
#include "peft/registry.h"

namespace lowrank {
namespace {

/// Two divisors of `size`: with a positive factor that divides it, that one first; else the largest first one
/// up to its root (and up to `factor`).
std::pair<int64_t, int64_t> factorised(int64_t size, int64_t factor) {
  if (factor > 0 && size % factor == 0) return {factor, size / factor};
  int64_t first = 1;
  for (int64_t divisor = 1; divisor * divisor <= size; ++divisor) {
    if (size % divisor == 0 && (factor < 0 || divisor <= factor)) first = divisor;
  }
  return {first, size / first};
}

/// One of the two matrices.
struct Part {
  at::Tensor whole, a, b;
  at::Tensor value() const { return whole.defined() ? whole : at::mm(a, b); }
};

struct Shapes {
  int64_t rank, l, k, m, n;
  bool split_1, split_2;
};

class LoKr final : public Method {
 public:
  std::vector<Field> fields() override {
    std::vector<Field> fields = options_.fields();
    fields.push_back(
        limited(field("decompose_factor", decompose_factor_, "size of the first matrix; -1: near the root"),
                -1, 1 << 20));
    fields.push_back(field("decompose_both", decompose_both_, "split the first matrix into factors, too"));
    fields.push_back(
        field("rank_dropout_scale", rank_dropout_scale_, "divide what rank_dropout keeps by the kept share"));
    for (Field& field : modules_.fields()) fields.push_back(std::move(field));
    return fields;
  }

  TrainPlan plan(const ModelSpec& spec) override {
    check(decompose_factor_ != 0, ErrorKind::invalid, "decompose_factor must be -1 or at least 1");
    TrainPlan plan;
    modules_.plan(spec, plan);
    options_.check_patterns(modules_);
    for (const Module* module : modules_.modules()) {
      const Shapes s = shapes(*module);
      const auto add = [&](const char* name, int64_t rows, int64_t columns) {
        plan.parameters.push_back({adapter_key(*module, name), {rows, columns}});
      };
      if (s.split_1) {
        add("lokr_w1_a", s.l, s.rank);
        add("lokr_w1_b", s.rank, s.m);
      } else {
        add("lokr_w1", s.l, s.m);
      }
      if (s.split_2) {
        add("lokr_w2_a", s.k, s.rank);
        add("lokr_w2_b", s.rank, s.n);
      } else {
        add("lokr_w2", s.k, s.n);
      }
      plan.multiply_adds += s.m * (s.split_2 ? s.rank * (s.n + s.k) : s.n * s.k) + s.l * s.m * s.k;
    }
    modules_.plan_saved(spec, plan);
    return plan;
  }

  void bind(const ParameterSet& parameters) override {
    parts_.clear();
    for (const Module* module : modules_.modules()) {
      const Shapes s = shapes(*module);
      const auto part = [&](const std::string& name, bool split) {
        const auto at = [&](const std::string& of) { return parameters.at(adapter_key(*module, of)); };
        return split ? Part{{}, at(name + "_a"), at(name + "_b")} : Part{at(name), {}, {}};
      };
      parts_.emplace_back(part("lokr_w1", s.split_1), part("lokr_w2", s.split_2));
    }
    modules_.bind(parameters);
  }

  void initialise(const Checkpoint& base, uint64_t seed) override {
    const at::NoGradGuard no_grad;
    at::Generator generator = seeded_generator(seed);
    for (const auto& [first, second] : parts_) {
      (first.whole.defined() ? first.whole : first.a).zero_();
      for (const at::Tensor& factor : {first.b, second.whole, second.a, second.b}) {
        if (factor.defined()) uniform_by_columns(factor, generator);
      }
    }
    modules_.initialise(base, seed);
  }

  std::optional<Patch> patch(const Context& context, const Module& module) const override {
    const auto index = modules_.index_of(module.name);
    if (!index || options_.skips(context, *index)) return std::nullopt;
    const at::Tensor w1 = parts_[*index].first.value() * options_.scale_of(module);
    const at::Tensor mask = options_.row_mask(context, module, *index, rank_dropout_scale_);
    Patch patch;
    patch.end = module.out;
    patch.branch = [w1, mask, second = parts_[*index].second](const at::Tensor& x) {
      at::Tensor y = x.to(w1.scalar_type()).view({x.size(0) * w1.size(1), -1});  // [T m, n]
      y = second.whole.defined() ? at::mm(y, second.whole.t())
                                 : at::mm(at::mm(y, second.b.t()), second.a.t());
      y = at::matmul(w1, y.view({x.size(0), w1.size(1), -1})).flatten(1, 2);  // [T, l k]
      return mask.defined() ? y * mask : y;
    };
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
    const auto& [first, second] = parts_[index];
    return value + at::kron(first.value(), second.value()) * options_.scale_of(*modules_.modules()[index]);
  }

  nlohmann::json config() const override {
    nlohmann::json config = {{"peft_type", "LOKR"},
                             {"use_effective_conv2d", false},
                             {"decompose_factor", decompose_factor_},
                             {"decompose_both", decompose_both_},
                             {"rank_dropout_scale", rank_dropout_scale_}};
    options_.write(config, modules_.modules());
    modules_.write(config);
    return config;
  }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    options_.read(config, where);
    modules_.read(config, where);
    apply(fields(),
          given_values(config, {{"decompose_factor", "decompose_factor"},
                                {"decompose_both", "decompose_both"},
                                {"rank_dropout_scale", "rank_dropout_scale"}}),
          where);
  }

 private:
  Shapes shapes(const Module& module) const {
    const auto [m, n] = factorised(module.in, decompose_factor_);
    const auto [l, k] = factorised(module.out, decompose_factor_);
    const int64_t rank = options_.rank_of(module);
    return {rank, l, k, m, n, decompose_both_ && 2 * rank < std::max(l, m), 2 * rank < std::max(k, n)};
  }

  LycorisOptions options_;
  AdaptedModules modules_;
  int64_t decompose_factor_ = -1;
  bool decompose_both_ = false, rank_dropout_scale_ = false;
  std::vector<std::pair<Part, Part>> parts_;  ///< w1 and w2 by module
};

std::unique_ptr<Method> make() {
  return std::make_unique<LoKr>();
}

bool reads(const nlohmann::json& config) {
  return config.value("peft_type", "") == "LOKR";
}

constexpr OptionExample examples[] = {
    {"both", R"({"decompose_both": true, "rank": 2})"},
    {"factor", R"({"decompose_factor": 2, "rank": 2})"},
    {"dropped_rows", R"({"rank_dropout": 0.3, "rank_dropout_scale": true})"},
    {"dropped_modules", R"({"module_dropout": 0.4, "target_modules": "all-linear"})"},
    {"patterns", R"({"rank_pattern": {".*\\.1\\..*": 3}, "alpha_pattern": {".*\\.0\\..*": 5}})"},
};

}  // namespace

extern const MethodInfo lokr_method;
const MethodInfo lokr_method{
    "lokr",  "Yeh et al. 2023, arXiv 2309.14859", "update that is a Kronecker product", 1e-3, make, reads,
    examples};

}  // namespace lowrank
