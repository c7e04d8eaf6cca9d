#include "peft/bottleneck/bottleneck_method.h"

#include <ATen/TensorOperators.h>

#include "base/error.h"
#include "base/rng.h"
#include "peft/bottleneck/bottleneck_set.h"
#include "peft/files/adapterhub_file.h"
#include "peft/files/adapterhub_head.h"

namespace lowrank {
namespace {

/// Stream of the run's seed for dropped layers.
constexpr uint64_t drop_stream = 11;

class BottleneckMethod final : public Method, public AdapterForm {
 public:
  BottleneckMethod(BottleneckConfig config, std::vector<std::string> starts)
      : config_(std::move(config)), starts_(std::move(starts)) {
    if (!starts_.empty()) config_.init_weights = starts_.front();
  }

  std::vector<Field> fields() override {
    std::vector<Field> fields = config_.fields();
    if (config_.phm_layer) {
      for (Field& field : config_.phm_fields()) fields.push_back(std::move(field));
    }
    if (!starts_.empty())
      fields.push_back(
          one_of(field("init_weights", config_.init_weights,
                       "bert: D and U N(0, 0.02); houlsby: N(0, 0.01) truncated at two standard deviations; "
                       "mam_adapter: D uniform, U zero; normal: N(0, 0.01); biases are zero"),
                 starts_));
    fields.push_back(limited(field("adapter_drop", adapter_drop_,
                                   "AdapterDrop in training: each step skips the adapters of the lowest n "
                                   "layers, n drawn from 0 to this number; 0: none"),
                             0, 4096));
    fields.push_back(field("adapter_name", name_, "the adapter's name, which is part of its tensors' names"));
    return fields;
  }

  TrainPlan plan(const ModelSpec& spec) override {
    check_adapter_name(name_, "adapter_name");
    units_ = BottleneckSet(config_, spec, name_);
    const int highest = units_.sites().back().layer;
    check(adapter_drop_ <= highest, ErrorKind::invalid,
          "adapter_drop {} could leave no adapter: the highest stands in layer {}", adapter_drop_, highest);
    written_ = adapterhub_config(config_.to_json(spec), spec, name_);
    TrainPlan plan;
    units_.plan(plan);
    head_.plan(spec, trains_head_, plan);
    for (const BottleneckSite& site : units_.sites()) plan.targets.push_back(site.path);
    return plan;
  }
  void bind(const ParameterSet& parameters) override {
    type_ = parameters.values().scalar_type();
    units_.bind(parameters);
    head_.bind(parameters);
  }
  void initialise(const Checkpoint& base, uint64_t seed) override {
    units_.initialise(seed);
    head_.initialise(base, seed);
  }
  std::string prefix_sharing_blocker() const override {
    return config_.dropout > 0 ? "dropout differs from row to row" : "";
  }
  bool starts_from_base() const override {
    return !config_.phm_layer && config_.init_weights == "mam_adapter";
  }

  void begin_step(const StepInfo& info) override {
    dropped_layers_ = 0;
    if (adapter_drop_ == 0 || info.step == 0) return;
    Philox random(derive_seed(info.seed, drop_stream, static_cast<uint64_t>(info.step)));
    dropped_layers_ = static_cast<int64_t>(random.below(static_cast<uint64_t>(adapter_drop_) + 1));
  }

  const TrainedTensors* trained_beside() const override { return &head_.saved(); }
  at::Tensor branch_end(const Place& place, const Site& site, const at::Tensor& in,
                        const at::Tensor& out) const override {
    const Bottleneck* unit = config_.after_layer ? nullptr : unit_at(place, site.branch);
    if (!unit) return out;
    const at::Tensor x = bottleneck_input(config_, place.context, *this, site, in, out, type_);
    return (out + unit->apply(x, dropout_seed(place, site.branch))).to(out.scalar_type());
  }

  HiddenState layer_end(const Place& place, HiddenState hidden) const override {
    const Bottleneck* unit = config_.after_layer ? unit_at(place, Role::down) : nullptr;
    if (!unit) return hidden;
    const at::Tensor h = hidden.branch.defined() ? hidden.sum() : hidden.stream;
    at::Tensor u = unit->apply(h.to(type_), dropout_seed(place, Role::down));
    return {h, std::move(u), std::move(hidden.layout)};
  }

  std::string why_not_merged() const override {
    return "a bottleneck has a non-linearity between its two matrices, so no change of a weight equals it";
  }
  LowRankForm low_rank_form() const override {
    return {{}, {"bottlenecks, whose non-linearity no low-rank update of a weight equals"}};
  }

  AdapterForm& form() override { return *this; }
  const AdapterForm& form() const override { return *this; }
  AdapterFileNames names() const override { return adapterhub_files; }
  nlohmann::json config() const override { return written_; }
  std::vector<FileTensor> file_tensors(std::vector<FileTensor> planned) const override {
    return head_.without(std::move(planned));
  }
  void save_beside(const std::filesystem::path& folder, const std::string& base) const override {
    head_.save(folder, base);
  }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    config_ = read_bottleneck_config(config, where);
    name_ = read_adapter_name(config, where);
    trains_head_ = has_head(std::filesystem::path(where).parent_path());
  }

 private:
  /// The unit at that place in this pass; nullptr: none.
  const Bottleneck* unit_at(const Place& place, Role branch) const {
    if (place.context.training && place.layer < dropped_layers_) return nullptr;
    return units_.at(place.layer, branch);
  }

  static uint64_t dropout_seed(const Place& place, Role branch) {
    if (!place.context.training) return 0;
    return derive_seed(place.context.dropout_seed, static_cast<uint64_t>(place.layer),
                       branch == Role::down ? 1 : 0);
  }

  BottleneckConfig config_;
  std::vector<std::string> starts_;
  std::string name_ = "adapter";
  int64_t adapter_drop_ = 0;
  nlohmann::json written_;  ///< the configuration file; set by `plan`
  BottleneckSet units_;
  AdapterHubHead head_;
  bool trains_head_ = true;  ///< if the model has one
  at::ScalarType type_ = at::kFloat;
  int64_t dropped_layers_ = 0;  ///< in this training step
};

}  // namespace

std::unique_ptr<Method> make_bottleneck_method(const BottleneckConfig& standard,
                                               std::vector<std::string> starts) {
  return std::make_unique<BottleneckMethod>(standard, std::move(starts));
}

}  // namespace lowrank
