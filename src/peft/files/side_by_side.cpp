#include "peft/files/side_by_side.h"

#include <algorithm>

#include <ATen/ops/add.h>
#include <fmt/ranges.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "peft/core/registry.h"
#include "peft/files/adapter_reader.h"

namespace lowrank {
namespace {

constexpr const char* order_name = "adapters.json";
constexpr int64_t most_order_bytes = 1 << 20;

/// Rejects patches of different methods on one module's product, unless they only add.
void check_patches_add(const std::vector<Patch>& first, const std::vector<Patch>& second,
                       const Module& module) {
  const bool adds = first.empty() || second.empty() ||
                    (std::ranges::all_of(first, only_adds) && std::ranges::all_of(second, only_adds));
  check(adds, ErrorKind::unsupported,
        "two of the methods change the product of {} in ways that do not add; give one of them other "
        "`target_modules`",
        module.name);
}

class SideBySide final : public Method, public AdapterForm {
 public:
  explicit SideBySide(std::vector<Adapter> parts) : parts_(std::move(parts)) {
    std::vector<std::string_view> names, papers, summaries;
    for (const Adapter& part : parts_) {
      check(std::ranges::find(names, part.info->name) == names.end(), ErrorKind::invalid,
            "the method {} stands twice", part.info->name);
      names.push_back(part.info->name);
      papers.push_back(part.info->paper);
      summaries.push_back(part.info->summary);
    }
    name_ = fmt::format("{}", fmt::join(names, "+"));
    paper_ = fmt::format("{}", fmt::join(papers, "; "));
    summary_ = fmt::format("{}", fmt::join(summaries, "; "));
    info_ = {name_, paper_, summary_, parts_.front().info->default_learning_rate, nullptr, nullptr};
  }

  const MethodInfo& info() const { return info_; }
  std::vector<Adapter>& adapters() { return parts_; }
  const std::vector<Adapter>* parts() const override { return &parts_; }

  std::vector<Field> fields() override {
    std::vector<Field> fields;
    for (const Adapter& part : parts_) {
      for (Field& next : part.method->fields()) {
        const auto same = std::ranges::find(fields, next.name, &Field::name);
        if (same == fields.end()) {
          fields.push_back(std::move(next));
        } else {
          same->set = [first = same->set, second = next.set](const nlohmann::json& value) {
            first(value);
            second(value);
          };
        }
      }
    }
    return fields;
  }

  TrainPlan plan(const ModelSpec& spec) override {
    headless_ = std::make_unique<ModelSpec>(spec);
    headless_->head_modules.clear();
    unmerged_.clear();
    TrainPlan whole;
    for (Adapter& part : parts_) {
      const bool first = &part == &parts_.front();
      part.plan = part.method->plan(first ? spec : *headless_);
      part.labels = spec.labels;
      add(part, whole);
      const bool merges = std::ranges::any_of(
          spec.tensors, [&](const TensorRef& tensor) { return part.method->merges(tensor); });
      if (!merges && unmerged_.empty())
        unmerged_ = fmt::format("of {}, {}", part.info->name, part.method->why_not_merged());
    }
    return whole;
  }

  void bind(const ParameterSet& parameters) override {
    for (Adapter& part : parts_) {
      part.parameters = std::make_unique<ParameterSet>(parameters.part(prefix_of(part)));
      part.method->bind(*part.parameters);
    }
  }
  void read_base(const Checkpoint& base) override {
    for (const Adapter& part : parts_) part.method->read_base(base);
  }
  void initialise(const Checkpoint& base, uint64_t seed) override {
    for (const Adapter& part : parts_) part.method->initialise(base, seed);
  }
  void begin_step(const StepInfo& info) override {
    for (const Adapter& part : parts_) part.method->begin_step(info);
  }
  void end_backward() override {
    for (const Adapter& part : parts_) part.method->end_backward();
  }
  void after_step(const StepInfo& info) override {
    for (const Adapter& part : parts_) part.method->after_step(info);
  }
  std::vector<FileTensor> state() const override {
    std::vector<FileTensor> all;
    for (const Adapter& part : parts_) {
      for (FileTensor& tensor : part.method->state())
        all.push_back({prefix_of(part) + tensor.name, std::move(tensor.value)});
    }
    return all;
  }
  void set_state(const std::vector<FileTensor>& state) override {
    for (const Adapter& part : parts_) {
      const std::string prefix = prefix_of(part);
      std::vector<FileTensor> own;
      for (const FileTensor& tensor : state) {
        if (tensor.name.starts_with(prefix)) own.push_back({tensor.name.substr(prefix.size()), tensor.value});
      }
      part.method->set_state(own);
    }
  }
  std::string prefix_sharing_blocker() const override {
    for (const Adapter& part : parts_) {
      if (const std::string why = part.method->prefix_sharing_blocker(); !why.empty()) return why;
    }
    return {};
  }
  at::Tensor regularizer() override {
    at::Tensor sum;
    for (const Adapter& part : parts_) {
      const at::Tensor term = part.method->regularizer();
      if (term.defined()) sum = sum.defined() ? at::add(sum, term) : term;
    }
    return sum;
  }

  void layout(Batch& batch) const override {
    for (const Adapter& part : parts_) part.method->layout(batch);
  }
  bool can_cache() const override {
    return std::ranges::all_of(parts_, [](const Adapter& part) { return part.method->can_cache(); });
  }
  at::Tensor embed(const Place& place, const Embedding& embedding, at::Tensor rows) const override {
    for (const Adapter& part : parts_) rows = part.method->embed(place, embedding, std::move(rows));
    return rows;
  }
  std::vector<Patch> patches(const Place& place, const Module& module) const override {
    std::vector<Patch> all;
    for (const Adapter& part : parts_) {
      std::vector<Patch> next = part.method->patches(place, module);
      check_patches_add(all, next, module);
      all.insert(all.end(), std::make_move_iterator(next.begin()), std::make_move_iterator(next.end()));
    }
    return all;
  }
  bool acts_between_layers() const override {
    return std::ranges::any_of(parts_,
                               [](const Adapter& part) { return part.method->acts_between_layers(); });
  }
  std::vector<const Module*> adapted() const override {
    std::vector<const Module*> all;
    for (const Adapter& part : parts_) {
      for (const Module* module : part.method->adapted()) {
        if (std::ranges::find(all, module) == all.end()) all.push_back(module);
      }
    }
    return all;
  }
  at::Tensor weight(const Context& context, const TensorRef& tensor) const override {
    for (const Adapter& part : parts_) {
      if (part.plan.uses.contains(tensor.name)) return part.method->weight(context, tensor);
    }
    return Hooks::weight(context, tensor);
  }
  std::optional<Prefix> prefix(const Place& place) const override {
    std::optional<Prefix> only;
    for (const Adapter& part : parts_) {
      std::optional<Prefix> next = part.method->prefix(place);
      check(!next || !only, ErrorKind::unsupported,
            "two of the methods {} put keys and values in front of each sequence", name_);
      if (next) only = std::move(next);
    }
    return only;
  }
  at::Tensor branch_end(const Place& place, const Site& site, const at::Tensor& in,
                        const at::Tensor& out) const override {
    at::Tensor result = out;
    for (const Adapter& part : parts_) result = part.method->branch_end(place, site, in, result);
    return result;
  }
  HiddenState layer_end(const Place& place, HiddenState hidden) const override {
    for (const Adapter& part : parts_) {
      const SequenceLayout layout = hidden.layout;
      hidden = part.method->layer_end({place.context, layout, place.layer}, std::move(hidden));
    }
    return hidden;
  }

  bool starts_from_base() const override {
    return std::ranges::all_of(parts_, [](const Adapter& part) { return part.method->starts_from_base(); });
  }
  bool merges(const TensorRef& tensor) const override {
    return unmerged_.empty() &&
           std::ranges::any_of(parts_, [&](const Adapter& part) { return part.method->merges(tensor); });
  }
  std::string why_not_merged() const override { return unmerged_; }
  AdapterForm& form() override { return *this; }
  const AdapterForm& form() const override { return *this; }
  Output output() const override {
    const bool plain = std::ranges::all_of(
        parts_, [](const Adapter& part) { return part.method->form().output() == Output::adapter; });
    return plain || !unmerged_.empty() ? Output::adapter : Output::adapter_and_model;
  }
  std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& value) const override {
    std::optional<at::Tensor> result = value;
    for (const Adapter& part : parts_) {
      if (result && part.method->merges(tensor)) result = part.method->merged(tensor, *result);
    }
    return result;
  }
  std::optional<at::Tensor> unmerged(const TensorRef& tensor, const at::Tensor& merged) const override {
    std::optional<at::Tensor> result = merged;
    for (auto part = parts_.rbegin(); part != parts_.rend(); ++part) {
      if (result && part->method->merges(tensor)) result = part->method->unmerged(tensor, *result);
    }
    return result;
  }
  std::string why_not_unmerged() const override {
    std::vector<std::string> reasons;
    for (const Adapter& part : parts_)
      reasons.push_back(fmt::format("of {}, {}", part.info->name, part.method->why_not_unmerged()));
    return fmt::format("{}", fmt::join(reasons, "; "));
  }
  bool keeps_tied_head() const override {
    return std::ranges::any_of(parts_, [](const Adapter& part) { return part.method->keeps_tied_head(); });
  }
  LowRankForm low_rank_form() const override {
    LowRankForm all;
    for (const Adapter& part : parts_) {
      LowRankForm form = part.method->low_rank_form();
      all.updates.insert(all.updates.end(), form.updates.begin(), form.updates.end());
      all.beside.insert(all.beside.end(), form.beside.begin(), form.beside.end());
    }
    return all;
  }

  AdapterFileNames names() const override {
    const bool same = std::ranges::all_of(parts_, [&](const Adapter& part) {
      return part.method->form().names().library == parts_.front().method->form().names().library;
    });
    return {.library = same ? parts_.front().method->form().names().library : ""};
  }
  nlohmann::json config() const override {
    nlohmann::json names = nlohmann::json::array();
    for (const Adapter& part : parts_) names.push_back(part.info->name);
    return {{"methods", names}};
  }
  void read_config(const nlohmann::json&, const std::string& where) override {
    fail(ErrorKind::invalid, "{}: methods side by side have a folder each", where);
  }

 private:
  static std::string prefix_of(const Adapter& part) { return fmt::format("{}/", part.info->name); }

  void add(const Adapter& part, TrainPlan& whole) const {
    const std::string prefix = prefix_of(part);
    const double rate = part.info->default_learning_rate / info_.default_learning_rate;
    for (ParameterSpec spec : part.plan.parameters) {
      spec.name = prefix + spec.name;
      spec.learning_rate_scale *= rate;
      whole.parameters.push_back(std::move(spec));
    }
    for (const ParameterCopy& copy : part.plan.copies)
      whole.copies.push_back({prefix + copy.name, prefix + copy.of, copy.transposed});
    for (const auto& [tensor, use] : part.plan.uses) {
      const bool free = whole.uses.emplace(tensor, use).second;
      check(free, ErrorKind::unsupported, "two of the methods {} train {}", name_, tensor);
    }
    whole.targets.insert(whole.targets.end(), part.plan.targets.begin(), part.plan.targets.end());
    whole.macs_per_token += part.plan.macs_per_token;
    whole.kept_values += part.plan.kept_values;
    whole.resolved_values += part.plan.resolved_values;
    whole.stacked_values += part.plan.stacked_values;
    whole.context_rows += part.plan.context_rows;
  }

  std::vector<Adapter> parts_;
  std::string name_, paper_, summary_;
  MethodInfo info_{};
  std::unique_ptr<ModelSpec> headless_;  ///< for all but the first: the label head belongs to the first
  std::string unmerged_;                 ///< why they cannot be merged; empty if they can
};

}  // namespace

ChosenMethod choose_method(std::string_view name) {
  if (name.find('+') == std::string_view::npos) {
    const MethodInfo& info = method_named(name);
    return {&info, info.make()};
  }
  std::vector<Adapter> parts;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('+', begin), name.size());
    const MethodInfo& info = method_named(name.substr(begin, end - begin));
    parts.push_back({&info, info.make(), {}, nullptr, {}});
    begin = end + 1;
  }
  auto method = std::make_unique<SideBySide>(std::move(parts));
  const MethodInfo* info = &method->info();
  return {info, std::move(method)};
}

ChosenMethod method_of_adapter(const std::filesystem::path& path, const ModelSpec& spec) {
  if (!is_side_by_side(path)) {
    StoredAdapter stored = open_adapter(path, spec);
    return {stored.info, std::move(stored.method)};
  }
  std::vector<Adapter> parts;
  for (const std::string& name : names_side_by_side(path)) {
    StoredAdapter stored = open_adapter(path / name, spec);
    parts.push_back({stored.info, std::move(stored.method), {}, nullptr, {}});
  }
  auto method = std::make_unique<SideBySide>(std::move(parts));
  const MethodInfo* info = &method->info();
  return {info, std::move(method)};
}

std::vector<std::string> names_side_by_side(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / order_name;
  const nlohmann::json order = read_json_file(path, most_order_bytes);
  const bool holds = order.is_object() && order.contains("methods") && order["methods"].is_array() &&
                     !order["methods"].empty() &&
                     std::ranges::all_of(order["methods"], [](const nlohmann::json& name) {
                       return name.is_string() && method_named(name.get<std::string>()).name == name;
                     });
  check(holds, ErrorKind::corrupt, "{}: no list of methods", path.string());
  return order["methods"].get<std::vector<std::string>>();
}

bool is_side_by_side(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / order_name);
}

std::filesystem::path first_adapter(const std::filesystem::path& folder) {
  return is_side_by_side(folder) ? folder / names_side_by_side(folder).front() : folder;
}

void write_side_by_side(const std::filesystem::path& folder, const Adapter& adapter,
                        const std::string& base) {
  for (const Adapter& part : *adapter.method->form().parts())
    write_adapter(folder / std::string(part.info->name), part, base);
  write_file_atomically(folder / order_name, json_text(adapter.method->form().config(), 2) + "\n");
}

Adapter load_side_by_side(const std::filesystem::path& folder, const Checkpoint& base, at::ScalarType type) {
  std::vector<StoredAdapter> stored;
  std::vector<Adapter> parts;
  for (const std::string& name : names_side_by_side(folder)) {
    StoredAdapter& next = stored.emplace_back(open_adapter(folder / name, base.spec()));
    parts.push_back({next.info, std::move(next.method), {}, nullptr, {}});
  }
  auto method = std::make_unique<SideBySide>(std::move(parts));
  std::vector<Adapter>& planned = method->adapters();
  const MethodInfo& info = method->info();
  Adapter adapter = plan_adapter(info, std::move(method), base.spec());
  for (size_t i = 0; i < stored.size(); ++i) {
    const std::vector<std::string> notes = check_tensors(stored[i], planned[i].plan, base.spec());
    adapter.notes.insert(adapter.notes.end(), notes.begin(), notes.end());
  }
  give_parameters(adapter, base, type);
  for (size_t i = 0; i < stored.size(); ++i) read_values(stored[i], planned[i], base);
  return adapter;
}

}  // namespace lowrank
