#include "peft/conversion/as_low_rank.h"

#include <algorithm>
#include <map>
#include <set>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/one_line.h"
#include "peft/core/from_patches.h"
#include "peft/core/trained_tensors.h"
#include "peft/files/low_rank_adapter.h"
#include "peft/merge/merge_plan.h"

namespace lowrank {
namespace {

/// What both adapters hold in full.
struct WholeParts {
  std::vector<std::string> modules_to_save;
  std::string bias = "none";
  std::set<std::string> tensors;  ///< their names
};

void add_whole(const AdapterForm& form, WholeParts& whole) {
  const nlohmann::json config = form.config();
  if (!config.is_object() || !form.names().peft) return;
  const auto saved = config.find("modules_to_save");
  if (saved != config.end() && saved->is_array()) {
    for (const nlohmann::json& name : *saved) whole.modules_to_save.push_back(name.get<std::string>());
  }
  const auto bias = config.find("bias");
  if (bias == config.end() || !bias->is_string() || *bias == "none" || whole.bias == "all") return;
  // PEFT names the methods' own biases after them: oft_only, vera_only.
  whole.bias = *bias == "all" ? "all" : "lora_only";
}

WholeParts whole_parts(const ModelSpec& spec, const Method& method) {
  WholeParts whole;
  if (const std::vector<Adapter>* parts = method.form().parts()) {
    for (const Adapter& part : *parts) add_whole(part.method->form(), whole);
  } else {
    add_whole(method.form(), whole);
  }
  whole.modules_to_save = with_head(spec, whole.modules_to_save);
  for (const TensorRef* tensor : tensors_to_save(spec, whole.modules_to_save))
    whole.tensors.insert(tensor->name);
  for (const TensorRef* tensor : biases_to_train(spec, whole.bias, method.adapted()))
    whole.tensors.insert(tensor->name);
  return whole;
}

/// A weight that the method changes and a LoRA can adapt.
struct ChangedWeight {
  const Module* module;
  MergeOutput output;
};

std::string kind_of(const TensorRef& tensor) {
  if (tensor.role == Role::norm) return "the norm";
  if (tensor.role == Role::position) return "the positions";
  return tensor.is_weight() ? "the weight" : "the bias";
}

/// Everything that a LoRA cannot hold, in words.
std::vector<std::string> words_for(const std::vector<const TensorRef*>& tensors) {
  std::map<std::string, std::vector<std::string>> names;
  for (const TensorRef* tensor : tensors) names[kind_of(*tensor)].push_back(tensor->name);
  std::vector<std::string> words;
  for (const auto& [kind, of] : names) {
    words.push_back(of.size() == 1 ? fmt::format("{} {}", kind, of.front())
                                   : fmt::format("{} {} and {} more", kind, of.front(), of.size() - 1));
  }
  return words;
}

/// The changed weights, in the model's order. Errors: as convert_to_low_rank.
std::vector<ChangedWeight> changed_weights(const Checkpoint& base, const Adapter& adapter,
                                           const WholeParts& whole) {
  const ModelSpec& spec = base.spec();
  const Method& method = *adapter.method;
  std::vector<ChangedWeight> weights;
  std::vector<const TensorRef*> beyond;
  bool merges = false;
  for (const TensorRef& tensor : spec.tensors) {
    if (!method.merges(tensor)) continue;
    merges = true;
    const TensorRef& source = base.source(tensor);
    if (whole.tensors.contains(tensor.name) || (&source != &tensor && method.keeps_tied_head())) continue;
    const Module* module = tensor.is_weight() ? spec.find_module(tensor.module_name()) : nullptr;
    if (module && module->role != Role::position)
      weights.push_back({module, {&tensor, &source, &tensor}});
    else
      beyond.push_back(&tensor);
  }
  check(merges, ErrorKind::unsupported, "{} cannot become a LoRA: {}", adapter.info->name,
        method.why_not_merged());
  std::vector<std::string> problems = words_for(beyond);
  if (const Module* module = module_without_bias(method, spec))
    problems.push_back(fmt::format("a bias of {}, which has none in the model", module->name));
  if (problems.empty()) return weights;
  throw Error(ErrorKind::unsupported,
              fmt::format("{} cannot become a LoRA, which holds updates of weights s B A: it also changes {}",
                          adapter.info->name, fmt::join(problems, ", ")),
              "merge it into the model (`lowrank merge`), which needs no adapter");
}

/// The module's own factors if the choice lets them be; nothing if there are none.
std::optional<LowRankUpdate> own_factors(const Method& method, const Module& module,
                                         const LowRankForm& embeddings) {
  if (module.is_linear()) return patch_factors(method, module);
  const auto found = std::ranges::find(embeddings.updates, &module, &LowRankUpdate::module);
  return found == embeddings.updates.end() ? std::nullopt : std::optional(*found);
}

double scale_of(const LowRankUpdate& update) {
  return update.alpha / static_cast<double>(update.rank);
}

/// alpha as PEFT's files can hold it: other values go into B.
LowRankUpdate with_plain_alpha(LowRankUpdate update) {
  constexpr double most = 1 << 20;
  update.a = update.a.detach().to(at::kFloat).contiguous();
  update.b = update.b.detach().to(at::kFloat).contiguous();
  if (update.alpha > 0 && update.alpha <= most) return update;
  update.b = update.b * scale_of(update);
  update.alpha = static_cast<double>(update.rank);
  return update;
}

struct Fitted {
  LowRankUpdate update;
  FittedModule report;
};

Fitted fitted(const LowRankFit& fit, const Module& module) {
  return {update_from(fit, module), {module.name, fit.a.size(0), false, fit.energy, fit.lost}};
}

RankChoice completed(RankChoice choice) {
  if (!choice.most && !choice.energy) choice.energy = usual_energy;
  return choice;
}

Fitted convert_module(const Checkpoint& base, const Method& method, const ChangedWeight& weight,
                      const RankChoice& choice) {
  const Module& module = *weight.module;
  const LowRankForm embeddings = module.is_linear() ? LowRankForm() : method.low_rank_form();
  if (std::optional<LowRankUpdate> own = own_factors(method, module, embeddings)) {
    const at::Tensor b = own->b.detach() * scale_of(*own), a = own->a.detach();
    const bool fits = !choice.energy && own->rank <= choice.most.value_or(own->rank);
    if (!fits) return fitted(fit_product(b, a, completed(choice)), module);
    return {with_plain_alpha(*std::move(own)), {module.name, a.size(0), true, energy_of_product(b, a), 0}};
  }
  const ChangedTensor values = merged_values(base, method, weight.output);
  return fitted(fit_low_rank(as_update_matrix(values.merged - values.base, module), completed(choice)),
                module);
}

void copy_whole(const Checkpoint& base, const Method& from, LowRankConversion& conversion) {
  const TrainedTensors& held = *conversion.adapter.method->trained_beside();
  for (const std::string& name : held.names()) {
    const TensorRef& tensor = *base.spec().find_tensor(name);
    conversion.whole.push_back(name);
    if (!from.merges(tensor)) continue;
    std::optional<at::Tensor> value = held.value(tensor);
    value->copy_(*from.merged(tensor, base.start(base.source(tensor), 0)));
  }
}

}  // namespace

double lost_share(std::span<const FittedModule> modules) {
  double energy = 0;
  double lost = 0;
  for (const FittedModule& module : modules) {
    energy += module.energy;
    lost += module.lost;
  }
  return energy > 0 ? lost / energy : 0;
}

LowRankUpdate update_from(const LowRankFit& fit, const Module& module) {
  const int64_t rank = fit.a.size(0);
  return {&module, rank, static_cast<double>(rank), fit.a, fit.b};
}

at::Tensor as_update_matrix(const at::Tensor& change, const Module& module) {
  return module.is_linear() ? change : change.t();
}

LowRankConversion convert_to_low_rank(const Checkpoint& base, const Adapter& adapter,
                                      const RankChoice& choice, const ConversionProgress& progress) {
  const at::NoGradGuard no_grad;
  const Method& method = *adapter.method;
  const WholeParts whole = whole_parts(base.spec(), method);
  const std::vector<ChangedWeight> weights = changed_weights(base, adapter, whole);
  LowRankConversion conversion;
  LowRankParts parts{.modules_to_save = whole.modules_to_save, .bias = whole.bias};
  const TensorRef* tied = tied_pair(base.spec()).first;
  parts.tied =
      tied && method.keeps_tied_head() && (method.merges(*tied) || whole.tensors.contains(tied->name));
  for (const ChangedWeight& weight : weights) {
    throw_if_interrupted();
    Fitted next = convert_module(base, method, weight, choice);
    // Biases that are trained with the adapted modules need the modules.
    if (next.report.energy > 0 || whole.bias == "lora_only") {
      parts.updates.push_back(std::move(next.update));
      conversion.modules.push_back(std::move(next.report));
    }
    if (progress) progress(&weight - weights.data() + 1, std::ssize(weights));
  }
  check(!parts.updates.empty(), ErrorKind::invalid,
        "the adapter changes no weight of the model: it was not trained, or its values are zero");
  conversion.adapter = make_low_rank_adapter(base, parts);
  copy_whole(base, method, conversion);
  base.check_unchanged();
  return conversion;
}

}  // namespace lowrank
