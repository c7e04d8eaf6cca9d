#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "infer/engine/engine.h"
#include "serve/http/limits.h"
#include "session/chat_options.h"
#include "session/session.h"

namespace lowrank::serve {

/// What a server serves, to whom, and how much of it.
struct ServeOptions {
  SessionOptions session;
  EngineOptions engine;
  ChatOptions chat;
  HttpLimits http;
  SamplingOptions sampling{.temperature = 1};  ///< where a request says nothing

  std::string adapters;              ///< a folder whose subfolders are adapters
  std::vector<std::string> adapter;  ///< NAME=FOLDER, or a folder
  std::string name;                  ///< of the base; empty: from its path
  int64_t resident_adapters = 64;
  bool allow_adapter_changes = false;

  std::string host = "127.0.0.1";
  int64_t port = 8080;
  std::string api_key, api_key_file;
  bool without_api_key = false;
  std::vector<std::string> allow_origin, allow_host;

  int64_t max_requests = 256;     ///< that run or wait
  int64_t max_choices = 16;       ///< answers or prompts of one request
  int64_t max_new_tokens = 1024;  ///< where a request gives none
  int64_t drain_timeout = 30;     ///< seconds
  bool quiet = false;

  /// The options with the heading under which help shows them.
  std::vector<std::pair<std::string, std::vector<Field>>> groups();
};

/// The name of a model as clients give it: OWNER/NAME of a snapshot in the Hugging Face cache, else the
/// folder's name, or the file's without .gguf.
std::string served_name(const std::string& path);

/// The key that clients must give: `api_key`, else the first line of `api_key_file`, else the environment
/// variable LOWRANK_API_KEY; empty if there is none. Errors: as reading the file; invalid for an empty key or
/// one with white space.
std::string api_key_of(const ServeOptions& options);

/// Errors: invalid for a server that others than this machine reach and that needs no key, unless
/// `without_api_key` says so.
void check_reach(const ServeOptions& options, const std::string& api_key);

}  // namespace lowrank::serve
