// SHiRA (Bhardwaj et al. 2024, arXiv 2406.13175, section 3.1): a few values of each weight are trained, at
// fixed positions.
//   W'[i_e, j_e] = W[i_e, j_e] + v_e for n = r (in + out) positions; v starts at zero
// Random positions are those of torch.randperm with torch's generator seeded anew for each module, in
// row-major order; a file brings its own positions. Files are PEFT's (SHIRA):
// `base_model.model.<module>.shira_weight` [n] and `.shira_indices` [2, n], int32: rows, then columns.
#include <algorithm>
#include <random>
#include <unordered_map>

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "peft/core/adapted_modules.h"
#include "peft/core/module_method.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

/// torch's seed if none is given.
constexpr uint64_t default_seed = 67280421310721;

/// The first `count` numbers of torch.randperm(total) on the CPU, ascending: its shuffle, storing only the
/// elements that moved. It draws 32 bits per number for totals below 2^32 / 20.
std::vector<int64_t> random_places(int64_t count, int64_t total, uint64_t seed) {
  std::mt19937 random(static_cast<uint32_t>(seed));
  std::unordered_map<int64_t, int64_t> moved;
  const auto at = [&](int64_t place) {
    const auto found = moved.find(place);
    return found == moved.end() ? place : found->second;
  };
  std::vector<int64_t> places;
  places.reserve(count);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t other = i + static_cast<int64_t>(random() % static_cast<uint64_t>(total - i));
    places.push_back(at(other));
    moved[other] = at(i);
  }
  std::ranges::sort(places);
  return places;
}

/// Rows [begin, end) with the values at their positions and zeros elsewhere: [end - begin, in].
at::Tensor scattered(const at::Tensor& values, const at::Tensor& indices, int64_t begin, int64_t end,
                     int64_t in) {
  const at::Tensor rows = indices[0].to(at::kLong), columns = indices[1].to(at::kLong);
  const at::Tensor own = rows.ge(begin).logical_and(rows.lt(end)).nonzero().flatten();
  const at::Tensor places = (rows.index_select(0, own) - begin) * in + columns.index_select(0, own);
  const at::Tensor flat = at::zeros({(end - begin) * in}, values.options().requires_grad(false));
  return at::index_add(flat, 0, places, values.index_select(0, own)).view({end - begin, in});
}

class Shira final : public ModuleFormula {
 public:
  std::vector<Field> fields() override {
    return {
        limited(field("rank", rank_, "rank (out + in) values of a weight [out, in] are trained"), 1, 1 << 16),
        field("random_seed", seed_, "seed of the positions; -1: torch's own")};
  }
  void choose(const ModelSpec&, const AdaptedModules& modules) override {
    const TargetOptions& targets = modules.targets;
    check(targets.layers_to_transform.empty() && targets.layers_pattern.empty() &&
              targets.exclude_modules.empty(),
          ErrorKind::invalid,
          "PEFT's SHIRA files cannot hold layers_to_transform, layers_pattern or exclude_modules; give "
          "target_modules a regular expression");
    for (const Module* module : modules.modules()) {
      check(places_of(*module) <= module->in * module->out, ErrorKind::invalid,
            "rank {}: {} values are more than {} has", rank_, places_of(*module), module->name);
    }
  }

  std::vector<ParameterSpec> parameters(const Module& module) const override {
    const int64_t count = places_of(module);
    return {{"shira_weight", {count}},
            {.name = "shira_indices", .shape = {2, count}, .frozen = true, .integer = true}};
  }
  void initialise(const Module& module, std::span<const at::Tensor> values, at::Generator&) const override {
    check(mask_type_ == "random", ErrorKind::unsupported,
          "mask_type {}: these places are only known from an adapter's file", mask_type_);
    const std::vector<int64_t> places = random_places(
        places_of(module), module.in * module.out, seed_ < 0 ? default_seed : static_cast<uint64_t>(seed_));
    const at::Tensor numbers = at::tensor(places, at::kLong);
    values[0].zero_();
    values[1][0].copy_(numbers.floor_divide(module.in));
    values[1][1].copy_(numbers.remainder(module.in));
  }

  bool resolves() const override { return true; }
  std::vector<at::Tensor> resolved(const Module& module, std::span<const at::Tensor> values) const override {
    if (!values[1].is_meta()) check_places(module, values[1]);
    return {values.begin(), values.end()};
  }
  std::vector<Patch> patches(const Context&, const Module&, size_t,
                             std::span<const at::Tensor> resolved) const override {
    Patch patch;
    patch.update.parameters = {resolved[0], resolved[1]};
    patch.update.rows = [](const at::Tensor& w, const std::vector<at::Tensor>& parameters, int64_t begin,
                           int64_t end) {
      return scattered(parameters[0], parameters[1], begin, end, w.size(1));
    };
    return {patch};
  }

  void write(nlohmann::json& config) const override {
    config.update({{"peft_type", "SHIRA"},
                   {"r", rank_},
                   {"mask_type", mask_type_},
                   {"random_seed", seed_ < 0 ? nlohmann::json() : nlohmann::json(seed_)},
                   {"fan_in_fan_out", false},
                   {"init_weights", true}});
    for (const char* absent : {"exclude_modules", "layers_to_transform", "layers_pattern"})
      config.erase(absent);
  }
  void read(const nlohmann::json& config, const std::string& where) override {
    apply(fields(), given_values(config, {{"r", "rank"}, {"random_seed", "random_seed"}}), where);
    mask_type_ = config.value("mask_type", "random");
  }

 private:
  int64_t places_of(const Module& module) const { return rank_ * (module.in + module.out); }

  static void check_places(const Module& module, const at::Tensor& indices) {
    const bool inside = indices.ge(0).all().item<bool>() && indices[0].lt(module.out).all().item<bool>() &&
                        indices[1].lt(module.in).all().item<bool>();
    check(inside, ErrorKind::invalid, "shira_indices of {} name places outside its {} x {} weight",
          module.name, module.out, module.in);
  }

  int64_t rank_ = 32, seed_ = -1;
  std::string mask_type_ = "random";
};

constexpr OptionExample examples[] = {{"small", R"({"rank": 2})"},
                                      {"seed", R"({"rank": 1, "random_seed": 42})"}};

}  // namespace

extern const MethodInfo shira_method;
const MethodInfo shira_method{"shira",
                              "Bhardwaj et al. 2024, arXiv 2406.13175",
                              "a few trained values of each weight",
                              2e-3,
                              make_module_method<Shira>,
                              reads_type<"SHIRA">,
                              examples};

}  // namespace lowrank
