#include "train/run_identity.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/fingerprint.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/one_line.h"
#include "data/examples/example_file.h"
#include "kernels/core/parallel.h"

namespace lowrank {
namespace {

constexpr const char* base_key = "the base model";
constexpr const char* train_key = "the training rows";
constexpr const char* evaluation_key = "the evaluation rows";
constexpr const char* template_key = "the chat template";
constexpr const char* adapter_key = "the adapter at the start";
constexpr const char* weights_key = "the weighting of the training rows";
constexpr size_t most_bytes_at_once = 32 << 20;

std::string fingerprint_of(const ExampleStore& examples) {
  if (!examples.contents().empty()) return examples.contents();
  Fingerprint all;
  for (const Example& example : examples) add_to(all, example);
  return all.text();
}

/// Covers initial values and configuration, so that a different seed or --init-adapter is noticed.
std::string fingerprint_of(const Adapter& adapter) {
  Fingerprint all;
  const auto add = [&](const at::Tensor& tensor) {
    const at::Tensor value = tensor.to(at::kFloat).cpu().contiguous();
    all.add_values<float>(std::span(value.const_data_ptr<float>(), static_cast<size_t>(value.numel())));
  };
  add(adapter.parameters->values());
  for (const FileTensor& tensor : file_tensors(adapter)) {
    all.add(tensor.name);
    add(tensor.value);
  }
  all.add(json_text(adapter.method->form().config()));
  return all.text();
}

/// Keys of fingerprints, whose values are not shown in messages.
const std::set<std::string> fingerprints = {base_key, adapter_key, train_key, evaluation_key, template_key};

/// Options that give the adapter at the start other values.
const std::set<std::string> of_the_start = {"method", "rank", "target_modules", "init_lora_weights", "seed"};

/// [[300, 2.0], [100, 0.5]] as "2 (300 examples), 0.5 (100 examples)"; null, which is of runs without
/// weights, as "1 for all".
std::string weights_text(const nlohmann::json& weights) {
  if (weights.is_null()) return "1 for all";
  std::string text;
  for (const nlohmann::json& source : weights)
    text += fmt::format("{}{:g} ({})", text.empty() ? "" : ", ", source.at(1).get<double>(),
                        counted(source.at(0).get<int64_t>(), "example"));
  return text;
}

}  // namespace

std::string fingerprint_of(const Checkpoint& base, size_t most_of_each) {
  Fingerprint all;
  all.add(json_text(base.spec().config));
  size_t touched = 0;
  for (const TensorRef& tensor : base.spec().tensors) {
    const StoredTensor* stored = base.find(tensor);
    if (!stored) continue;
    all.add(tensor.name);
    all.add(static_cast<int64_t>(stored->dtype));
    all.add_values<int64_t>(stored->shape);
    const auto bytes = stored->bytes.first(std::min(most_of_each, stored->bytes.size()));
    // Having the whole file in memory at once would be the run's memory peak.
    for (size_t begin = 0; begin < bytes.size(); begin += most_bytes_at_once) {
      const size_t size = std::min(most_bytes_at_once, bytes.size() - begin);
      all.add(bytes.subspan(begin, size));
      touched += size;
      if (touched < most_bytes_at_once) continue;
      base.forget_pages();
      touched = 0;
    }
  }
  base.forget_pages();
  return all.text();
}

RunIdentity::RunIdentity(const RunInputs& inputs)
    : base_(inputs.base), early_(inputs.train.early), identity_(inputs.options) {
  identity_[adapter_key] = fingerprint_of(inputs.adapter);
  if (!early_) identity_[train_key] = fingerprint_of(inputs.train.examples);
  if (is_weighted(inputs.train.sources)) {
    nlohmann::json weights = nlohmann::json::array();
    for (const SourceShare& source : inputs.train.sources) weights.push_back({source.count, source.weight});
    identity_[weights_key] = weights;
  }
  identity_[evaluation_key] = fingerprint_of(inputs.evaluation);
  identity_["steps in all"] = inputs.plan.total_steps;
  identity_["method"] = inputs.adapter.info->name;
  identity_["threads"] = thread_count();
  identity_["processor"] = describe(cpu_features());
  identity_["version of lowrank"] = inputs.program;
}

void RunIdentity::add_early_rows() try {
  const WeightedExamples* rows = early_->whole();
  if (!rows) {
    throw_if_interrupted();
    rows = &early_->wait();
  }
  identity_[train_key] = fingerprint_of(rows->examples);
  early_.reset();
} catch (const Error& error) {
  if (error.kind() != ErrorKind::interrupted) throw;
}

bool knows_rows(const nlohmann::json& identity) {
  return identity.contains(train_key);
}

const nlohmann::json& RunIdentity::whole() {
  if (early_) add_early_rows();
  if (!identity_.contains(base_key)) identity_[base_key] = fingerprint_of(base_);
  return identity_;
}

std::vector<std::string> identity_differences(const nlohmann::json& saved, const nlohmann::json& now) {
  std::set<std::string> names;
  for (const nlohmann::json* one : {&saved, &now}) {
    for (const auto& [name, value] : one->items()) names.insert(name);
  }
  const auto text = [](const nlohmann::json& of, const std::string& name) {
    return of.contains(name) ? json_text(of[name]) : std::string("not there");
  };
  const auto differs = [&](const std::string& name) { return text(saved, name) != text(now, name); };
  // What a template renders is part of the rows, as what these options make is of the adapter.
  const bool rendered_anew = differs(template_key);
  const bool started_anew = std::ranges::any_of(of_the_start, differs);
  std::vector<std::string> differences;
  for (const std::string& name : names) {
    if (rendered_anew && (name == train_key || name == evaluation_key)) continue;
    if (name == train_key && !knows_rows(saved)) continue;
    if (!differs(name) || (started_anew && name == adapter_key)) continue;
    if (name == weights_key) {
      differences.push_back(fmt::format("the weights of `data`, in order, were {} and are {}",
                                        weights_text(saved.value(name, nlohmann::json())),
                                        weights_text(now.value(name, nlohmann::json()))));
      continue;
    }
    const std::string was = text(saved, name), is = text(now, name);
    differences.push_back(fingerprints.contains(name) ? fmt::format("{} {} other than before", name,
                                                                    name.ends_with('s') ? "are" : "is")
                                                      : fmt::format("{} was {} and is {}", name, was, is));
  }
  return differences;
}

}  // namespace lowrank
