#pragma once

#include "model/hooks.h"

namespace lowrank {

struct Adapter;
class AdapterBank;

/// Hooks that are ready for passes without training: what such a pass needs of the parameters has been
/// computed from their values as they are. What generates, evaluates or encodes takes these, so that an
/// adapter cannot come there unprepared. What they were made of must outlive them, and must not train
/// meanwhile.
class InferenceHooks {
 public:
  /// The plain model.
  InferenceHooks();
  /// The model with an adapter. Errors: as Method::begin_step.
  explicit InferenceHooks(const Adapter& adapter);
  /// The model with any number of adapters, which were made ready when they were added.
  explicit InferenceHooks(const AdapterBank& bank);

  const Hooks& operator*() const { return *hooks_; }
  const Hooks* operator->() const { return hooks_; }

 private:
  const Hooks* hooks_;
};

}  // namespace lowrank
