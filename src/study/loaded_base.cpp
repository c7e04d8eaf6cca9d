#include "study/loaded_base.h"

#include <utility>

namespace lowrank {

LoadedBase::LoadedBase(SessionOptions options, std::shared_ptr<const Checkpoint> checkpoint)
    : options_(std::move(options)), checkpoint_(std::move(checkpoint)) {}

Adapter LoadedBase::prepare(ChosenMethod chosen, uint64_t seed) {
  Adapter adapter = make_adapter(*chosen.info, std::move(chosen.method), *checkpoint_);
  model_for(&adapter.plan);
  adapter.method->initialise(*checkpoint_, seed);
  move_adapter(adapter, load_options(options_).device);
  return adapter;
}

const Model& LoadedBase::model_for(const TrainPlan* plan) {
  const TrainPlan none;
  const TrainPlan& wanted = plan ? *plan : none;
  if (!model_ || wanted.uses != uses_) {
    model_.reset();
    model_ = load_model(checkpoint_, options_, &wanted, true);
    uses_ = wanted.uses;
  }
  return *model_;
}

}  // namespace lowrank
