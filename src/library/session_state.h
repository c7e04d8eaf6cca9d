#pragma once

#include <lowrank/lowrank.h>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "session/chat_options.h"
#include "session/session.h"

namespace lowrank {

/// An adapter, and for one that replaces tensors or brings labels a model of its own.
struct AttachedAdapter {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::shared_ptr<Adapter> adapter;
  std::unique_ptr<Model> own_model = nullptr;
  std::string path = {};  ///< where it was read from; its folder may hold a chat template

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
  /// The ids of prompts that are questions for the chat template, that of the adapter's folder first; the
  /// tokens that end an answer are added to `end_tokens`. The tokenizer is loaded. Errors: as
  /// need_chat_format and ChatFormat::prompt.
  std::vector<std::vector<int64_t>> questions(const std::string& adapter, const ChatOptions& chat,
                                              const std::vector<std::string>& prompts,
                                              std::vector<int64_t>& end_tokens);
  /// Frees the weights that are loaded.
  void unload();
};

}  // namespace lowrank
