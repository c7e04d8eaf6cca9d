#pragma once

#include <string>
#include <vector>

#include "peft/bottleneck/bottleneck.h"
#include "peft/bottleneck/bottleneck_sites.h"

namespace lowrank {

/// The bottlenecks of one adapter, at all its places in a model.
class BottleneckSet {
 public:
  BottleneckSet() = default;
  /// Errors: as bottleneck_sites and BottleneckConfig::size.
  BottleneckSet(const BottleneckConfig& config, const ModelSpec& spec, std::string name);

  /// Adds the parameters of all places and of the shared PHM rule. `frozen`: never trained.
  void plan(TrainPlan& plan, bool frozen = false) const;
  void bind(const ParameterSet& parameters);
  /// Initial values, a function of the seed.
  void initialise(uint64_t seed) const;

  /// The bottleneck at the end of a branch (attention_out or down); nullptr: none.
  const Bottleneck* at(int layer, Role branch) const;

  const BottleneckConfig& config() const { return config_; }
  const std::string& name() const { return name_; }
  const std::vector<BottleneckSite>& sites() const { return sites_; }

 private:
  BottleneckConfig config_;
  std::string name_;
  std::vector<BottleneckSite> sites_;
  std::vector<Bottleneck> units_;  ///< by site
  std::vector<int64_t> index_;     ///< [2 layers] of the units after attention and after the MLP; -1: none
  std::string rule_name_;          ///< empty: there is no shared rule
  at::Tensor rule_;                ///< [n, n, n]
};

}  // namespace lowrank
