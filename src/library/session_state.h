#pragma once

#include <lowrank/lowrank.h>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "session/session.h"

namespace lowrank {

/// An adapter, and for one that replaces tensors or brings labels a model of its own.
struct AttachedAdapter {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::shared_ptr<Adapter> adapter;
  std::unique_ptr<Model> own_model = nullptr;

  bool needs_own_model() const { return !adapter->plan.uses.empty() || adapter->labels; }
};

struct Session::State {
  SessionOptions options;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<Model> model = nullptr;   ///< of the base, once it is needed
  std::optional<Tokenizer> tokenizer = {};  ///< once text is generated
  std::map<std::string, AttachedAdapter> attached = {};

  /// Errors: not_found, with the nearest name.
  AttachedAdapter& named(const std::string& name);
  void attach(const std::string& name, const std::string& path);
  /// The model with an adapter, or the plain base (empty name). Loads what is not loaded yet.
  RunningModel running(const std::string& name);
  /// Frees the weights that are loaded.
  void unload();
};

}  // namespace lowrank
