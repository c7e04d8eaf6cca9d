#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "serve/adapter_list.h"
#include "serve/api/generation_request.h"
#include "serve/chat_formats.h"
#include "serve/encoder_answer.h"
#include "serve/http/access.h"
#include "serve/http/exchange.h"
#include "serve/model_loop.h"
#include "serve/server_metrics.h"

namespace lowrank::serve {

/// What is served. References must outlive the service.
struct Served {
  std::string name;     ///< of the base, or of the encoder with its adapter
  int64_t context = 0;  ///< most tokens of a text with its answer
  const Tokenizer& tokenizer;
  ModelLoop& loop;
  AdapterList& adapters;
  AdapterStore* store = nullptr;   ///< of a model that generates text
  ChatFormats* formats = nullptr;  ///< likewise
  std::optional<EncoderWork> encoder = {};
  int64_t created = unix_seconds();
};

/// How it is served.
struct ServiceOptions {
  AccessRules access;
  RequestLimits limits;
  int64_t max_new_tokens = 1024;
  std::string adapter_folder;  ///< empty: none, and nothing can be loaded
  bool allow_adapter_changes = false;
  bool quiet = false;
};

/// The server's endpoints.
class Service {
 public:
  Service(Served served, ServiceOptions options);

  /// What an HttpServer calls; the service must outlive it.
  HttpHandler handler();
  const ServiceOptions& options() const { return options_; }
  /// How many connections there are, for the metrics.
  void set_connections(std::function<int64_t()> count) { connections_ = std::move(count); }

 private:
  using Reply = std::shared_ptr<Exchange>;
  struct Route {
    const char* method;
    const char* path;
    bool open;  ///< needs no key
    void (Service::*answer)(const HttpRequest&, const Reply&);
  };
  static const std::vector<Route>& routes();
  static std::string methods_of(std::string_view path);
  static std::string_view route_of(std::string_view path);

  std::optional<HttpResponse> refusal(const HttpRequest& head) const;
  void handle(const HttpRequest& request, const Reply& exchange);
  void record(const HttpRecord& record);

  void health(const HttpRequest& request, const Reply& exchange);
  void metrics(const HttpRequest& request, const Reply& exchange);
  void list_models(const HttpRequest& request, const Reply& exchange);
  void one_model(const HttpRequest& request, const Reply& exchange);
  void asset(const HttpRequest& request, const Reply& exchange);

  void chat(const HttpRequest& request, const Reply& exchange);
  void complete(const HttpRequest& request, const Reply& exchange);
  void embed(const HttpRequest& request, const Reply& exchange);
  void classify(const HttpRequest& request, const Reply& exchange);
  void tokenize(const HttpRequest& request, const Reply& exchange);
  void detokenize(const HttpRequest& request, const Reply& exchange);

  void load_adapter(const HttpRequest& request, const Reply& exchange);
  void unload_adapter(const HttpRequest& request, const Reply& exchange);
  void list_scales(const HttpRequest& request, const Reply& exchange);
  void set_scales(const HttpRequest& request, const Reply& exchange);

  /// A prompt with its ids, and how it is shown in front of an echoed answer.
  struct Prompt {
    std::vector<int64_t> ids;
    std::vector<int64_t> end_tokens = {};
    std::string echo = {};
  };
  void generate(const GenerationRequest& request, const std::vector<Prompt>& prompts, bool is_chat,
                const Reply& exchange);
  EngineRequest engine_request(const GenerationRequest& request, const Prompt& prompt) const;
  void note_problem(const std::string& name);
  void check_length(int64_t tokens, const char* parameter) const;
  void check_bytes(size_t bytes, const char* parameter) const;
  ChatPrompt chat_prompt(const std::optional<ServedAdapter>& adapter, const Conversation& conversation) const;
  /// The adapter that a request names; nothing: the base. Errors: Refusal (404).
  std::optional<ServedAdapter> adapter_of(const std::string& model) const;
  std::optional<ServedAdapter> adapter_of(const GenerationRequest& request) const;
  void encode_texts(const HttpRequest& request, const Reply& exchange, bool labels);
  void need_generation() const;
  void need_changes() const;

  Served served_;
  ServiceOptions options_;
  size_t most_bytes_;  ///< of a text that can fit the context
  ServerMetrics metrics_;
  std::function<int64_t()> connections_;
};

}  // namespace lowrank::serve
