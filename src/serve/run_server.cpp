#include "serve/run_server.h"

#include <algorithm>

#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>

#include "base/error.h"
#include "base/log.h"
#include "base/one_line.h"
#include "infer/encode.h"
#include "serve/http/server.h"
#include "serve/service.h"

namespace lowrank::serve {
namespace {

std::vector<float> values_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  const auto* values = flat.const_data_ptr<float>();
  return {values, values + flat.numel()};
}

/// An adapter that is given as NAME=FOLDER, or as a folder or file alone, which then names it.
FoundAdapter named_adapter(const std::string& given) {
  const std::string path = adapter_path(given);
  if (path.size() < given.size()) return {given.substr(0, given.size() - path.size() - 1), path};
  return {served_name(path), path};
}

/// All adapters that the options name. One that cannot be used is told, and does not stop the server.
void add_adapters(const ServeOptions& options, AdapterList& list, AdapterStore& store) {
  std::vector<FoundAdapter> found;
  for (const std::string& given : options.adapter) found.push_back(named_adapter(given));
  if (!options.adapters.empty()) {
    for (FoundAdapter& one : adapters_in(options.adapters)) {
      // Named before, it stands for itself.
      if (std::ranges::find(found, one.name, &FoundAdapter::name) == found.end())
        found.push_back(std::move(one));
    }
  }
  for (const FoundAdapter& one : found) {
    try {
      list.add(one.name, one.path);
      try {
        store.add(one.name, one.path);
      } catch (const std::exception& error) {
        list.set_problem(one.name, error.what());
        throw;
      }
    } catch (const std::exception& error) {
      warn("the adapter {} is not served: {}", in_quotes(one.name), error.what());
    }
  }
}

AccessRules access_rules(const ServeOptions& options) {
  AccessRules rules;
  rules.api_key = api_key_of(options);
  rules.origins = options.allow_origin;
  rules.loopback_only = is_loopback(options.host);
  for (const std::string& host : options.allow_host) rules.hosts.push_back(host_name(host));
  check_reach(options, rules.api_key);
  return rules;
}

ServiceOptions service_options(const ServeOptions& options, const Tokenizer& tokenizer) {
  ServiceOptions service;
  service.access = access_rules(options);
  service.limits.vocabulary = tokenizer.vocabulary_size();
  service.limits.most_choices = options.max_choices;
  service.limits.sampling = options.sampling;
  service.max_new_tokens = options.max_new_tokens;
  service.adapter_folder = options.adapters;
  service.allow_adapter_changes = options.allow_adapter_changes;
  service.quiet = options.quiet;
  return service;
}

/// A host as an address of the web writes it.
std::string in_address(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

void tell_start(const ServeOptions& options, const Served& served, const ServiceOptions& service,
                int64_t port) {
  const std::string address = fmt::format("http://{}:{}", in_address(options.host), port);
  const std::string key =
      service.access.api_key.empty() ? "" : " -H \"Authorization: Bearer $LOWRANK_API_KEY\"";
  info("{}: serving {} with {} at {}", options.session.model, served.name,
       counted(std::ranges::count(served.adapters.all(), "", &ServedAdapter::problem), "adapter"), address);
  if (served.encoder) {
    info("curl {}/v1/embeddings{} -d '{{\"model\": \"{}\", \"input\": \"A text\"}}'", address, key,
         served.name);
  } else {
    info(
        "curl {}/v1/chat/completions{} -d '{{\"model\": \"{}\", \"messages\": [{{\"role\": \"user\", "
        "\"content\": \"What is DNS?\"}}]}}'",
        address, key, served.name);
  }
  if (!service.access.loopback_only && service.access.api_key.empty())
    warn("everyone who reaches {} can use the server: no API key is set", address);
}

/// Lets a server call nothing any more when it goes.
struct StoppedAtEnd {
  HttpServer& server;
  ~StoppedAtEnd() { server.stop(); }
};

/// Answers clients until a signal, then lets running requests finish.
void serve_until_signal(const ServeOptions& options, const Served& served, ServiceOptions service_options,
                        HttpServer& server) {
  Service service(served, std::move(service_options));
  const StoppedAtEnd stopped{server};
  service.set_connections([&] { return server.connections(); });
  const auto drain = static_cast<double>(options.drain_timeout);
  server.start(service.handler(), [&](int) {
    info("stopping: running requests have {} s to finish; another signal ends them at once",
         options.drain_timeout);
    server.finish();
    served.loop.finish(drain);
  });
  tell_start(options, served, service.options(), server.port());
  served.loop.run();
  // The last answers are still on their way.
  constexpr double for_writing = 5;
  server.wait_until_closed(for_writing);
  info("stopped");
}

void serve_generation(const ServeOptions& options, const Tokenizer& tokenizer,
                      const std::shared_ptr<const Checkpoint>& checkpoint) {
  ServiceOptions service = service_options(options, tokenizer);
  AdapterList list(options.name);
  AdapterStore store(checkpoint, options.resident_adapters, load_options(options.session).device);
  add_adapters(options, list, store);
  HttpServer server(options.host, options.port, options.http);
  const std::unique_ptr<Model> model = load_model(checkpoint, options.session, nullptr, false);
  Engine engine(*model, tokenizer, store, options.engine);
  ModelLoop loop(&engine, options.max_requests);
  ChatFormats formats(options.session.model, tokenizer, options.chat);
  const Served served{options.name, checkpoint->spec().max_positions, tokenizer, loop, list, &store,
                      &formats};
  serve_until_signal(options, served, std::move(service), server);
}

/// What an encoder computes of texts.
EncoderWork encoder_work(const OpenSession& session, const Tokenizer& tokenizer, const EmbeddingForm& form) {
  constexpr int64_t batch_size = 32;
  EncoderWork work;
  work.width = form.width(session.checkpoint->spec().hidden_size);
  work.embed = [&session, form](const std::vector<std::vector<int64_t>>& ids) {
    return values_of(embed_texts(*session.model, session.hooks(), ids, batch_size, form));
  };
  work.encode = [&tokenizer, form](const std::string& text) {
    return tokenizer.encode(form.prompt + text, true);
  };
  const auto& labels = session.checkpoint->spec().labels;
  if (!labels) return work;
  work.labels = *labels;
  work.classify = [&session, labels](const std::vector<std::vector<int64_t>>& ids) {
    const at::Tensor scores = score_texts(*session.model, session.hooks(), ids, batch_size);
    return values_of(labels->several         ? at::sigmoid(scores)
                     : labels->has_classes() ? at::softmax(scores, 1)
                                             : scores);
  };
  return work;
}

void serve_encoder(const ServeOptions& options, const Tokenizer& tokenizer) {
  ServiceOptions service = service_options(options, tokenizer);
  check(options.adapters.empty() && options.adapter.size() <= 1, ErrorKind::unsupported,
        "{}: an encoder is served with one adapter at most, `adapter`", options.session.model);
  const std::string adapter = options.adapter.empty() ? "" : adapter_path(options.adapter.front());
  HttpServer server(options.host, options.port, options.http);
  const OpenSession session = open_session(options.session, adapter);
  const EmbeddingForm form = embedding_form(options.session.model, session.checkpoint->spec());
  AdapterList list(options.name);
  ModelLoop loop(nullptr, options.max_requests);
  const Served served{options.name, session.room(), tokenizer, loop,
                      list,         nullptr,        nullptr,   encoder_work(session, tokenizer, form)};
  serve_until_signal(options, served, std::move(service), server);
}

}  // namespace

void run_server(const ServeOptions& given) {
  ServeOptions options = given;
  const auto checkpoint = open_model(options.session);
  const bool generates = checkpoint->spec().task == Task::causal_lm;
  // An encoder answers with its adapter alone, whose name is then the model's.
  if (options.name.empty())
    options.name = generates || options.adapter.empty() ? served_name(options.session.model)
                                                        : named_adapter(options.adapter.front()).name;
  const Tokenizer tokenizer = load_tokenizer(options.session.model);
  generates ? serve_generation(options, tokenizer, checkpoint) : serve_encoder(options, tokenizer);
}

}  // namespace lowrank::serve
