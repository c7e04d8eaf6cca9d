#pragma once

#include "model/hooks.h"

namespace lowrank {

struct Adapter;
class AdapterBank;

/// Hooks that are ready for inference passes: what a pass needs has been computed from the parameters'
/// current values. Generation, evaluation and encoding take this type, so that they cannot be given an
/// unprepared adapter. The adapter or bank must outlive the hooks and must not be trained meanwhile.
class InferenceHooks {
 public:
  /// The plain model.
  InferenceHooks();
  /// The model with an adapter. Errors: as Method::begin_step.
  explicit InferenceHooks(const Adapter& adapter);
  /// The model with any number of adapters, which were prepared when they were added.
  explicit InferenceHooks(const AdapterBank& bank);

  const Hooks& operator*() const { return *hooks_; }
  const Hooks* operator->() const { return hooks_; }

 private:
  const Hooks* hooks_;
};

}  // namespace lowrank
