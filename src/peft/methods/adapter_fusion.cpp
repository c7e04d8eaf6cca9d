// AdapterFusion (Pfeiffer et al. 2021, arXiv 2005.00247, section 3): a second stage that learns how to
// combine previously trained adapters, which stay unchanged.
//   The branch's output becomes y + sum_i p_i V u_i(x), p by attention over the members i (fusion_layer.h),
//   with x the members' input (bottleneck_sites.h). A regulariser 0.01 ||I - V||^2 per place keeps V near
//   the identity.
// Files are AdapterHub's: adapter_fusion_config.json and model_adapter_fusion.safetensors, with each member's
// folder inside this folder (or beside it).
#include <ATen/TensorOperators.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "peft/bottleneck/bottleneck_set.h"
#include "peft/bottleneck/fusion_layer.h"
#include "peft/core/adapted_modules.h"
#include "peft/core/low_rank_init.h"
#include "peft/core/registry.h"
#include "peft/core/target_options.h"
#include "peft/files/adapter_reader.h"
#include "peft/files/adapterhub_file.h"
#include "peft/files/adapterhub_head.h"

namespace lowrank {
namespace {

/// A previously trained adapter.
struct Member {
  std::filesystem::path folder;
  nlohmann::json config;  ///< adapter_config.json
  BottleneckSet units;
  TrainPlan plan;  ///< its part of the plan
};

Member open_member(const std::string& folder, const ModelSpec& spec, bool frozen) {
  Member member{folder, read_member_config(folder), {}, {}};
  const std::string where = (std::filesystem::path(folder) / adapterhub_files.config).string();
  const BottleneckConfig config = read_bottleneck_config(member.config, where);
  check(!config.is_parallel && !config.after_layer, ErrorKind::unsupported,
        "{}: only adapters that follow a branch can be fused, no parallel ones and none behind whole layers",
        where);
  member.units = BottleneckSet(config, spec, read_adapter_name(member.config, where));
  member.units.plan(member.plan, frozen);
  return member;
}

/// Members must have the same input and the same places.
void check_alike(const Member& first, const Member& other) {
  const BottleneckConfig& a = first.units.config();
  const BottleneckConfig& b = other.units.config();
  check(a.original_ln_before == b.original_ln_before && a.attention == b.attention && a.mlp == b.mlp &&
            a.leave_out == b.leave_out,
        ErrorKind::invalid, "{} and {} do not stand at the same places, so they cannot be fused",
        first.folder.string(), other.folder.string());
  check(first.units.name() != other.units.name(), ErrorKind::invalid,
        "{} and {} have the same name {}; train one of them with another `adapter_name`",
        first.folder.string(), other.folder.string(), first.units.name());
}

class AdapterFusion final : public Method, public AdapterForm {
 public:
  std::vector<Field> fields() override {
    return {field("members", folders_, "folders of two or more trained adapters"),
            one_of(field("fusion", fusion_, "dynamic: with a value matrix; static: without"),
                   {"dynamic", "static"}),
            limited(field("regularization", regularization_, "factor of ||I - V||^2; 0: none"), 0, 1e6),
            field("train_members", train_members_, "also train the members")};
  }

  TrainPlan plan(const ModelSpec& spec) override {
    check(folders_.size() >= 2, ErrorKind::unsupported,
          "adapter_fusion combines adapters that were trained before: `members` needs two folders or more");
    members_.clear();
    layers_.clear();
    std::vector<std::string> names;
    for (const std::string& folder : folders_) {
      members_.push_back(open_member(folder, spec, !train_members_));
      for (size_t i = 0; i + 1 < members_.size(); ++i) check_alike(members_[i], members_.back());
      names.push_back(members_.back().units.name());
    }
    const std::string name = fmt::format("{}", fmt::join(names, ","));
    TrainPlan plan;
    for (const BottleneckSite& site : members_.front().units.sites()) {
      layers_.emplace_back(site.fusion_prefix(name), spec.hidden_size, fusion_ == "dynamic")
          .plan(plan, std::ssize(members_));
      plan.targets.push_back(site.path);
    }
    fusion_parameters_ = plan.parameters.size();
    for (const Member& member : members_) {
      plan.parameters.insert(plan.parameters.end(), member.plan.parameters.begin(),
                             member.plan.parameters.end());
      plan.copies.insert(plan.copies.end(), member.plan.copies.begin(), member.plan.copies.end());
      plan.macs_per_token += member.plan.macs_per_token;
      plan.kept_values += member.plan.kept_values;
    }
    head_.plan(spec, trains_head_, plan);
    written_ = adapterhub_config(fusion_config(), spec, name);
    written_["adapter_names"] = names;
    return plan;
  }

  void bind(const ParameterSet& parameters) override {
    parameters_ = &parameters;
    for (FusionLayer& layer : layers_) layer.bind(parameters);
    for (Member& member : members_) member.units.bind(parameters);
    head_.bind(parameters);
  }

  void initialise(const Checkpoint& base, uint64_t seed) override {
    at::Generator generator = seeded_generator(seed);
    for (const FusionLayer& layer : layers_) layer.initialise(generator);
    for (const Member& member : members_)
      load_parameters(read_member(member.folder, base.spec()), member.plan, base.spec(), *parameters_);
    head_.initialise(base, seed);
  }
  bool starts_from_base() const override { return false; }

  const TrainedTensors* trained_beside() const override { return &head_.saved(); }
  at::Tensor branch_end(const Place& place, const Site& site, const at::Tensor& in,
                        const at::Tensor& out) const override {
    const std::vector<BottleneckSite>& sites = members_.front().units.sites();
    const auto found = std::ranges::find_if(sites, [&](const BottleneckSite& one) {
      return one.layer == place.layer && one.branch == site.branch;
    });
    if (found == sites.end()) return out;
    const at::Tensor x = bottleneck_input(members_.front().units.config(), place.context, *this, site, in,
                                          out, parameters_->values().scalar_type());
    std::vector<at::Tensor> outputs;
    outputs.reserve(members_.size());
    for (const Member& member : members_)
      outputs.push_back(member.units.at(place.layer, site.branch)->apply(x, 0));
    return (out + layers_[found - sites.begin()].apply(x, outputs)).to(out.scalar_type());
  }

  at::Tensor regularizer() override {
    at::Tensor sum;
    if (fusion_ != "dynamic" || regularization_ == 0) return sum;
    for (const FusionLayer& layer : layers_) {
      const at::Tensor distance = layer.distance_from_identity() * regularization_;
      sum = sum.defined() ? sum + distance : distance;
    }
    return sum;
  }

  std::string why_not_merged() const override {
    return "it weighs the members' outputs anew for each token, which no change of a weight does";
  }
  LowRankForm low_rank_form() const override {
    return {{}, {"a fusion of bottlenecks, which is no low-rank update of a weight"}};
  }

  AdapterForm& form() override { return *this; }
  const AdapterForm& form() const override { return *this; }
  AdapterFileNames names() const override { return fusion_files; }
  nlohmann::json config() const override { return written_; }
  std::vector<FileTensor> file_tensors(std::vector<FileTensor> planned) const override {
    planned.resize(fusion_parameters_);
    return planned;
  }
  void save_beside(const std::filesystem::path& folder, const std::string& base) const override {
    head_.save(folder, base);
    for (const Member& member : members_) {
      std::vector<FileTensor> tensors;
      for (const ParameterSpec& spec : member.plan.parameters)
        tensors.push_back({spec.name, parameters_->at(spec.name).detach()});
      for (const ParameterCopy& copy : member.plan.copies)
        tensors.push_back({copy.name, parameters_->at(copy.of).detach()});
      write_adapter_files(folder / member.units.name(), adapterhub_files, member.config, tensors);
    }
  }

  void read_config(const nlohmann::json& config, const std::string& where) override {
    const nlohmann::json given = config.value("config", nlohmann::json::object());
    check(given.is_object(), ErrorKind::unsupported, "{}: config is no object", where);
    require_neutral(given,
                    {{"query", {true}},
                     {"key", {true}},
                     {"query_before_ln", {false}},
                     {"residual_before", {false}},
                     {"temperature", {false}},
                     {"value_before_softmax", {true}},
                     {"dropout_prob", {0, 0.0}}},
                    where);
    fusion_ = is_given(given, "value") && given["value"] == true ? "dynamic" : "static";
    if (!is_given(given, "regularization") || given["regularization"] == false) regularization_ = 0;
    trains_head_ = has_head(std::filesystem::path(where).parent_path());
    folders_.clear();
    for (const nlohmann::json& name : config["adapter_names"]) {
      check(name.is_string(), ErrorKind::invalid, "{}: adapter_names must be names", where);
      folders_.push_back(
          member_folder(std::filesystem::path(where).parent_path(), name.get<std::string>()).string());
    }
  }

 private:
  nlohmann::json fusion_config() const {
    const bool dynamic = fusion_ == "dynamic";
    return {{"key", true},
            {"query", true},
            {"value", dynamic},
            {"query_before_ln", false},
            {"regularization", dynamic && regularization_ > 0},
            {"residual_before", false},
            {"temperature", false},
            {"value_before_softmax", true},
            {"value_initialized", dynamic},
            {"dropout_prob", nullptr}};
  }

  std::vector<std::string> folders_;
  std::string fusion_ = "dynamic";
  double regularization_ = 0.01;
  bool train_members_ = false;
  std::vector<Member> members_;
  std::vector<FusionLayer> layers_;  ///< by the members' sites
  size_t fusion_parameters_ = 0;     ///< number of fusion parameters, the first in the plan
  nlohmann::json written_;           ///< the configuration file; set by `plan`
  AdapterHubHead head_;
  bool trains_head_ = true;  ///< if the model has one
  const ParameterSet* parameters_ = nullptr;
};

std::unique_ptr<Method> make() {
  return std::make_unique<AdapterFusion>();
}

bool reads(const nlohmann::json& config) {
  return config.contains("adapter_names") && config["adapter_names"].is_array();
}

}  // namespace

extern const MethodInfo adapter_fusion_method;
const MethodInfo adapter_fusion_method{"adapter_fusion",
                                       "Pfeiffer et al. 2021, arXiv 2005.00247",
                                       "attention over adapters that were trained before",
                                       1e-3,
                                       make,
                                       reads};

}  // namespace lowrank
