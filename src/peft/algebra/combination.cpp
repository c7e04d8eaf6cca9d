#include "peft/algebra/combination.h"

#include <algorithm>
#include <set>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/one_line.h"
#include "base/rng.h"
#include "peft/algebra/combined_config.h"
#include "peft/algebra/combined_factors.h"
#include "peft/core/module_patterns.h"

namespace lowrank {
namespace {

/// Rejects updates that cannot be added: of another shape, or for sums of factors of another rank.
void check_shapes(const WeightedUpdates& module, bool same_rank, std::vector<std::string>& problems) {
  const FactoredUpdate& first = *module.updates.front();
  const std::string name = one_line(first.module);
  for (const FactoredUpdate* update : module.updates) {
    if (update->a.size(1) != first.a.size(1) || update->b.size(0) != first.b.size(0) ||
        update->embedding != first.embedding) {
      problems.push_back(fmt::format("{} is [{}, {}] in one and [{}, {}] in another", name, first.b.size(0),
                                     first.a.size(1), update->b.size(0), update->a.size(1)));
      return;
    }
    if (same_rank && update->rank() != first.rank()) {
      problems.push_back(
          fmt::format("{} has rank {} in one and {} in another", name, first.rank(), update->rank()));
      return;
    }
  }
}

void check_options(const CombinationOptions& options, size_t adapters) {
  check(options.weights.size() == adapters, ErrorKind::invalid,
        "`weights`: {} for {} adapters; each adapter has one", options.weights.size(), adapters);
  const bool svd = options.type.ends_with("svd");
  check(!prunes(options.type) || options.density, ErrorKind::invalid,
        "`type` {} needs `density`, the share of values that stays", options.type);
  check(prunes(options.type) || !options.density, ErrorKind::invalid, "`type` {} has no `density`",
        options.type);
  check(!options.type.starts_with("dare") || *options.density > 0, ErrorKind::invalid,
        "`density` 0 leaves nothing to rescale; `type` {} needs more", options.type);
  check(svd || (!options.rank && !options.svd_clamp), ErrorKind::invalid,
        "`rank` and `svd_clamp` belong to the types that end in svd, not to {}", options.type);
}

/// The rank of the result.
int64_t rank_of_result(const std::vector<FactoredAdapter>& adapters, const std::vector<std::string>& names,
                       const CombinationOptions& options) {
  int64_t sum = 0, highest = 0;
  for (const FactoredAdapter& adapter : adapters) {
    sum += adapter.rank;
    highest = std::max(highest, adapter.rank);
  }
  if (options.type == "cat") return sum;
  if (options.type.ends_with("svd")) return options.rank.value_or(highest);
  std::vector<std::string> ranks;
  for (size_t i = 0; i < adapters.size(); ++i)
    ranks.push_back(fmt::format("{} {}", names[i], adapters[i].rank));
  const bool same = std::ranges::all_of(adapters, [&](const auto& one) { return one.rank == highest; });
  if (!same)
    throw Error(ErrorKind::invalid,
                fmt::format("`type` {} adds factors, which needs adapters of the same rank: {}", options.type,
                            fmt::join(ranks, ", ")),
                "cat and the types that end in svd combine different ranks");
  return highest;
}

std::vector<WeightedUpdates> modules_of(const std::vector<FactoredAdapter>& adapters,
                                        const std::vector<double>& weights) {
  const auto less = [](const std::string& x, const std::string& y) { return natural_less(x, y); };
  std::set<std::string, decltype(less)> names;
  for (const FactoredAdapter& adapter : adapters) {
    for (const FactoredUpdate& update : adapter.updates) names.insert(update.module);
  }
  std::vector<WeightedUpdates> modules;
  for (const std::string& name : names) {
    WeightedUpdates& module = modules.emplace_back();
    for (size_t i = 0; i < adapters.size(); ++i) {
      const FactoredUpdate* update = adapters[i].find(name);
      if (!update) continue;
      module.updates.push_back(update);
      module.weights.push_back(weights[i]);
    }
  }
  return modules;
}

}  // namespace

std::vector<Field> CombinationOptions::fields() {
  return {
      one_of(field("type", type,
                   "cat: the exact weighted sum; svd: its best approximation of a lower rank; linear: the "
                   "factors are added; ties, dare_*, magnitude_prune: values are dropped before adding"),
             {"cat", "svd", "linear", "ties", "ties_svd", "dare_linear", "dare_linear_svd", "dare_ties",
              "dare_ties_svd", "magnitude_prune", "magnitude_prune_svd"}),
      field("weights", weights, "one number for each adapter, in their order; negative ones subtract"),
      limited(field("density", density, "share of the values that stays, for the types that drop some"), 0,
              1),
      one_of(field("majority_sign_method", majority_sign_method,
                   "the sign that ties keeps: of the sum of the values, or of most of them"),
             {"total", "frequency"}),
      limited(field("rank", rank,
                    "of the result, for types that end in svd; by default the highest of the adapters'"),
              1, most_rank),
      limited(field("svd_clamp", svd_clamp,
                    "quantile of the factors' values that bounds them all, for types that end in svd"),
              0.5, 1),
      field("seed", seed, "of the random masks of dare_*"),
  };
}

FactoredAdapter combine(const std::vector<FactoredAdapter>& adapters, const std::vector<std::string>& names,
                        const CombinationOptions& given) {
  const at::NoGradGuard no_grad;
  check(!adapters.empty(), ErrorKind::invalid, "no adapters to combine");
  check_options(given, adapters.size());
  CombinationOptions options = given;
  if (adapters.size() == 1) options.type = "linear";
  const int64_t rank = rank_of_result(adapters, names, options);
  const std::vector<WeightedUpdates> modules = modules_of(adapters, options.weights);
  std::vector<std::string> problems, module_names;
  int64_t most_useful = 1;
  const bool adds_factors = options.type != "cat" && !options.type.ends_with("svd");
  for (const WeightedUpdates& module : modules) {
    const FactoredUpdate& first = *module.updates.front();
    most_useful = std::max(most_useful, std::min(first.a.size(1), first.b.size(0)));
    check_shapes(module, adds_factors, problems);
    module_names.push_back(first.module);
  }
  check_fits(problems, fmt::format("{}", fmt::join(names, ", ")), "each other",
             adds_factors ? "" : "the adapters must be of the same base model");
  check(!options.rank || rank <= most_useful, ErrorKind::invalid,
        "`rank` {}: no update of these modules has a rank above {}", rank, most_useful);
  FactoredAdapter result{
      "the combined adapter", combined_config(adapters, names, rank, module_names), rank, {}, {}, {}};
  for (size_t i = 0; i < modules.size(); ++i) {
    throw_if_interrupted();
    at::Generator generator =
        at::detail::createCPUGenerator(derive_seed(static_cast<uint64_t>(options.seed), i));
    Factors factors = combined_factors(modules[i], options, rank, generator);
    const FactoredUpdate& first = *modules[i].updates.front();
    result.updates.push_back({first.module, first.embedding, 1, std::move(factors.a), std::move(factors.b)});
  }
  for (const FactoredAdapter& adapter : adapters)
    result.saved.insert(result.saved.end(), adapter.saved.begin(), adapter.saved.end());
  return result;
}

std::vector<FileTensor> tensors_of(const FactoredAdapter& adapter) {
  std::vector<FileTensor> tensors;
  for (const FactoredUpdate& update : adapter.updates) {
    const std::string stem = "base_model.model." + update.module;
    const auto name = [&](const char* factor) {
      return update.embedding ? fmt::format("{}.lora_embedding_{}", stem, factor)
                              : fmt::format("{}.lora_{}.weight", stem, factor);
    };
    tensors.push_back({name("A"), update.a});
    tensors.push_back({name("B"), update.b});
  }
  tensors.insert(tensors.end(), adapter.saved.begin(), adapter.saved.end());
  return tensors;
}

}  // namespace lowrank
