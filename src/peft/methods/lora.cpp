// LoRA (Hu et al. 2021, arXiv 2106.09685): y = W x + s B A drop(x), A [r, in], B [out, r], W frozen.
//   s = alpha / r (section 4.1), alpha / sqrt(r) (Kalajdzievski 2023, arXiv 2312.03732), or 1 / alpha (some
//   texts).
// On an embedding: y = E[i] + s B A[:, i], A [r, V], B [d, r], without dropout; a tied head stays as it is.
// Files are PEFT's: `base_model.model.<module>.lora_A.weight` and `.lora_B.weight`, for an embedding
// `.lora_embedding_A` and `.lora_embedding_B`.
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/rng.h"
#include "model/embedding.h"
#include "peft/low_rank_init.h"
#include "peft/registry.h"
#include "peft/target_modules.h"

namespace lowrank {
namespace {

struct Options {
  int64_t rank = 8;
  double alpha = 16;
  std::string scaling = "alpha/r";
  double dropout = 0;
  std::string target_modules = "q_proj,v_proj";
  std::string exclude_modules;
  std::vector<int64_t> layers_to_transform;
  std::vector<std::string> layers_pattern;
  std::map<std::string, double> rank_pattern;
  std::map<std::string, double> alpha_pattern;
  std::string init = "true";
};

/// One adapted module.
struct Factors {
  const Module* module = nullptr;
  int64_t rank = 0;
  double scale = 0;
  uint64_t number = 0;  ///< among the adapted ones; makes dropout masks differ
  at::Tensor a, b;
};

std::string key(const Module& module, char factor) {
  const std::string_view kind = module.is_linear() ? "lora" : "lora_embedding";
  const std::string_view end = module.is_linear() ? ".weight" : "";
  return fmt::format("base_model.model.{}.{}_{}{}", module.name, kind, factor, end);
}

/// s (A[:, i])^T B^T for each id i, [T, d]; zero for virtual tokens.
at::Tensor embedding_update(const Factors& f, const std::vector<int64_t>& tokens) {
  const at::Tensor ids = at::tensor(tokens, at::kLong);
  const at::Tensor columns = f.a.index_select(1, ids.clamp_min(0)) * ids.ne(virtual_token);
  return at::mm(columns.t(), f.b.t()) * f.scale;
}

class Lora final : public Method {
 public:
  std::vector<Field> fields() override {
    constexpr double most = 1 << 20;
    Options& o = options_;
    return {
        limited(field("rank", o.rank, "columns of B and rows of A"), 1, most),
        limited(field("alpha", o.alpha, "numerator of the scaling"), 1e-6, most),
        one_of(field("scaling", o.scaling, "factor on B A x"), {"alpha/r", "alpha/sqrt(r)", "1/alpha"}),
        limited(field("dropout", o.dropout, "share of the adapter's inputs that are zeroed in training"), 0,
                0.99),
        field("target_modules", o.target_modules, "names, a regular expression, or all-linear"),
        field("exclude_modules", o.exclude_modules,
              "names or a regular expression; wins over target_modules"),
        field("layers_to_transform", o.layers_to_transform,
              "only these layers (with names as target_modules)"),
        field("layers_pattern", o.layers_pattern,
              "name before the layer's number, where it is not the usual one"),
        field("rank_pattern", o.rank_pattern, "rank by regular expression on the module's name"),
        field("alpha_pattern", o.alpha_pattern, "alpha by regular expression on the module's name"),
        one_of(field("init", o.init,
                     "start of A: true (uniform) or gaussian, with B zero; orthogonal; false: both random"),
               {"true", "gaussian", "orthogonal", "false"}),
    };
  }

  TrainPlan plan(const ModelSpec& spec) override {
    TrainPlan plan;
    factors_.clear();
    by_module_.clear();
    for (const Module* module : select_modules(spec, targets())) {
      check(module->role != Role::position, ErrorKind::unsupported,
            "target_modules: {} holds positions, which LoRA does not adapt", module->name);
      const double wanted =
          pattern_value(options_.rank_pattern, module->name, static_cast<double>(options_.rank));
      check(wanted >= 1 && wanted == std::floor(wanted), ErrorKind::invalid, "rank_pattern gives {} for {}",
            wanted, module->name);
      const auto rank = static_cast<int64_t>(wanted);
      check(options_.init != "orthogonal" || rank % 2 == 0, ErrorKind::invalid,
            "init orthogonal needs an even rank, not {}", rank);
      by_module_[module->name] = factors_.size();
      factors_.push_back({module, rank, scale(*module, rank), factors_.size(), {}, {}});
      plan.parameters.push_back({key(*module, 'A'), {rank, module->in}});
      plan.parameters.push_back({key(*module, 'B'), {module->out, rank}});
      plan.targets.push_back(module->name);
    }
    return plan;
  }

  void bind(const ParameterSet& parameters) override {
    for (Factors& f : factors_) {
      f.a = parameters.at(key(*f.module, 'A'));
      f.b = parameters.at(key(*f.module, 'B'));
    }
  }

  void initialise(const Checkpoint&, uint64_t seed) override {
    at::Generator generator = seeded_generator(seed);
    for (const Factors& f : factors_) {
      const auto fill = f.module->is_linear() ? initialise_factors : initialise_embedding_factors;
      fill(f.a, f.b, options_.init, generator);
    }
  }

  at::Tensor embed(const Context& context, const Embedding& embedding) const override {
    const at::Tensor rows = Hooks::embed(context, embedding);
    for (const Factors& f : factors_) {
      if (f.module->role != Role::embedding) continue;
      return rows + embedding_update(f, context.batch->tokens) * embedding.scale();
    }
    return rows;
  }

  std::optional<Patch> patch(const Context& context, const Module& module) const override {
    const Factors* f = find(module);
    if (!f) return std::nullopt;
    Patch patch;
    patch.A = f->a;
    patch.B = f->b;
    patch.scale = f->scale;
    patch.end = module.out;
    if (context.training) patch.dropout = {options_.dropout, derive_seed(context.dropout_seed, f->number)};
    return patch;
  }

  bool merges(const Module& module) const override { return find(module) != nullptr; }

  std::optional<at::Tensor> merged(const Module& module, const at::Tensor& weight) const override {
    const Factors* f = find(module);
    if (!f) return weight;
    if (module.is_linear()) return at::addmm(weight, f->b, f->a, 1, f->scale);
    return at::addmm(weight, f->a.t(), f->b.t(), 1, f->scale);
  }

  nlohmann::json config() const override;
  void read_config(const nlohmann::json& config, const std::string& where) override;

 private:
  const Factors* find(const Module& module) const {
    const auto found = by_module_.find(module.name);
    return found == by_module_.end() ? nullptr : &factors_[found->second];
  }

  double scale(const Module& module, int64_t rank) const {
    const double alpha = pattern_value(options_.alpha_pattern, module.name, options_.alpha);
    check(alpha > 0, ErrorKind::invalid, "alpha_pattern gives {} for {}", alpha, module.name);
    if (options_.scaling == "1/alpha") return 1 / alpha;
    return alpha /
           (options_.scaling == "alpha/r" ? static_cast<double>(rank) : std::sqrt(static_cast<double>(rank)));
  }

  TargetModules targets() const {
    TargetModules targets;
    read_targets(options_.target_modules, targets.names, targets.expression);
    read_targets(options_.exclude_modules, targets.excluded_names, targets.excluded_expression);
    targets.layers = options_.layers_to_transform;
    targets.layers_pattern = options_.layers_pattern;
    return targets;
  }

  Options options_;
  std::vector<Factors> factors_;
  std::map<std::string, size_t, std::less<>> by_module_;
};

nlohmann::json number(double value) {
  return value == std::floor(value) ? nlohmann::json(static_cast<int64_t>(value)) : nlohmann::json(value);
}

nlohmann::json numbers(const std::map<std::string, double>& values) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [name, value] : values) json[name] = number(value);
  return json;
}

nlohmann::json Lora::config() const {
  const Options& o = options_;
  const TargetModules names = targets();
  // 1/alpha has no name in PEFT: lora_alpha = r/alpha gives the same factor.
  const bool inverse = o.scaling == "1/alpha";
  std::map<std::string, double> alphas = o.alpha_pattern;
  if (inverse && (!alphas.empty() || !o.rank_pattern.empty())) {
    alphas.clear();
    for (const Factors& f : factors_) alphas[f.module->name] = f.scale * static_cast<double>(f.rank);
  }
  nlohmann::json config = {
      {"peft_type", "LORA"},
      {"r", o.rank},
      {"lora_alpha", number(inverse ? static_cast<double>(o.rank) / o.alpha : o.alpha)},
      {"lora_dropout", o.dropout},
      {"use_rslora", o.scaling == "alpha/sqrt(r)"},
      {"target_modules", write_targets(names.names, names.expression)},
      {"exclude_modules", write_targets(names.excluded_names, names.excluded_expression)},
      {"layers_to_transform",
       o.layers_to_transform.empty() ? nlohmann::json() : nlohmann::json(o.layers_to_transform)},
      {"layers_pattern", o.layers_pattern.empty() ? nlohmann::json() : nlohmann::json(o.layers_pattern)},
      {"rank_pattern", numbers(o.rank_pattern)},
      {"alpha_pattern", numbers(alphas)},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"modules_to_save", nullptr},
      {"use_dora", false},
      {"lora_bias", false},
      {"loftq_config", nlohmann::json::object()},
      {"megatron_config", nullptr},
      {"megatron_core", "megatron.core"},
  };
  const bool named = o.init == "gaussian" || o.init == "orthogonal";
  config["init_lora_weights"] = named ? nlohmann::json(o.init) : nlohmann::json(o.init == "true");
  return config;
}

/// Fields that change the arithmetic in ways that are not built; each must hold its neutral value.
std::vector<std::string> beyond_plain(const nlohmann::json& config) {
  std::vector<std::string> problems;
  const auto neutral = [&](const char* name, std::initializer_list<nlohmann::json> values) {
    const auto found = config.find(name);
    if (found == config.end() || std::ranges::find(values, *found) != values.end()) return;
    problems.push_back(fmt::format("{}: {}", name, found->dump().substr(0, 60)));
  };
  for (const char* name :
       {"alora_invocation_tokens", "arrow_config", "corda_config", "eva_config", "kasa_config",
        "lora_ga_config", "megatron_config", "monteclora_config", "velora_config", "layer_replication",
        "target_parameters", "use_bdlora", "trainable_token_indices", "modules_to_save"}) {
    neutral(name, {nullptr, nlohmann::json::object(), nlohmann::json::array()});
  }
  for (const char* name : {"lora_bias", "use_dora", "use_qalora", "ensure_weight_tying"})
    neutral(name, {nullptr, false});
  neutral("loftq_config", {nullptr, nlohmann::json::object()});
  neutral("bias", {nullptr, "none"});
  neutral("init_lora_weights", {nullptr, true, false, "gaussian", "orthogonal"});
  return problems;
}

void Lora::read_config(const nlohmann::json& config, const std::string& where) {
  const std::vector<std::string> problems = beyond_plain(config);
  check(problems.empty(), ErrorKind::unsupported, "{}: LoRA with {} is not supported", where,
        fmt::join(problems, ", "));
  const auto given = [&](const char* name) { return config.contains(name) && !config[name].is_null(); };
  // The names that differ from ours; the values go through the same checks as flags.
  nlohmann::json options = nlohmann::json::object();
  const std::pair<const char*, const char*> names[] = {{"r", "rank"},
                                                       {"lora_alpha", "alpha"},
                                                       {"lora_dropout", "dropout"},
                                                       {"rank_pattern", "rank_pattern"},
                                                       {"alpha_pattern", "alpha_pattern"}};
  for (const auto& [theirs, ours] : names) {
    if (given(theirs)) options[ours] = config[theirs];
  }
  if (!given("lora_alpha")) options["alpha"] = 8;
  if (given("use_rslora") && config["use_rslora"] == true) options["scaling"] = "alpha/sqrt(r)";
  if (given("init_lora_weights")) {
    const nlohmann::json& init = config["init_lora_weights"];
    options["init"] = init.is_string() ? init.get<std::string>() : init.dump();
  }
  const auto list = [&](const char* name) {
    if (given(name))
      options[name] = config[name].is_array() ? config[name] : nlohmann::json::array({config[name]});
  };
  list("layers_to_transform");
  list("layers_pattern");
  apply(fields(), options, where);
  for (const auto& [name, target] : {std::pair{"target_modules", &options_.target_modules},
                                     std::pair{"exclude_modules", &options_.exclude_modules}}) {
    if (!given(name)) continue;
    std::vector<std::string> listed;
    std::string expression;
    read_targets(config[name], where + ": " + name, listed, expression);
    *target = expression.empty() ? fmt::format("{}", fmt::join(listed, ",")) : expression;
  }
}

std::unique_ptr<Method> make() {
  return std::make_unique<Lora>();
}

bool reads(const nlohmann::json& config) {
  return config["peft_type"] == "LORA" && config.value("use_dora", false) == false;
}

}  // namespace

extern const MethodInfo lora_method;
const MethodInfo lora_method{
    "lora", "Hu et al. 2021, arXiv 2106.09685", "low-rank update s B A beside chosen weights", 2e-4, make,
    reads};

}  // namespace lowrank
