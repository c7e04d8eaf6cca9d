#include "serve/service.h"

#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/log.h"
#include "base/one_line.h"
#include "serve/api/answers.h"
#include "serve/api/refusal.h"
#include "serve/page/assets.h"

namespace lowrank::serve {
namespace {

/// One endpoint answers for every model: GET /v1/models/{id}.
constexpr std::string_view models_prefix = "/v1/models/";

/// The page runs its own script alone, talks to this server alone and stands in no frame.
constexpr const char* content_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri "
    "'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types "
    "'none'";

/// Bytes of the longest token.
size_t longest_token(const Tokenizer& tokenizer) {
  size_t longest = 1;
  for (int64_t id = 0; id < tokenizer.vocabulary_size(); ++id)
    longest = std::max(longest, tokenizer.bytes_of(id, false).size());
  return longest;
}

HttpResponse method_refusal(const std::string& allowed) {
  HttpResponse response =
      refusal_response(Refusal(405, fmt::format("this path takes {}", allowed), "", "method_not_allowed"));
  response.headers.emplace_back("Allow", allowed);
  return response;
}

}  // namespace

Service::Service(Served served, ServiceOptions options)
    : served_(std::move(served)),
      options_(std::move(options)),
      most_bytes_(static_cast<size_t>(served_.context) * longest_token(served_.tokenizer)) {}

const std::vector<Service::Route>& Service::routes() {
  static const std::vector<Route> all{{"GET", "/", true, &Service::asset},
                                      {"GET", "/page.css", true, &Service::asset},
                                      {"GET", "/page.js", true, &Service::asset},
                                      {"GET", "/openapi.json", true, &Service::asset},
                                      {"GET", "/health", true, &Service::health},
                                      {"GET", "/metrics", false, &Service::metrics},
                                      {"GET", "/v1/models", false, &Service::list_models},
                                      {"GET", "/v1/models/{id}", false, &Service::one_model},
                                      {"POST", "/v1/chat/completions", false, &Service::chat},
                                      {"POST", "/v1/completions", false, &Service::complete},
                                      {"POST", "/v1/embeddings", false, &Service::embed},
                                      {"POST", "/classify", false, &Service::classify},
                                      {"POST", "/tokenize", false, &Service::tokenize},
                                      {"POST", "/detokenize", false, &Service::detokenize},
                                      {"POST", "/v1/load_lora_adapter", false, &Service::load_adapter},
                                      {"POST", "/v1/unload_lora_adapter", false, &Service::unload_adapter},
                                      {"GET", "/lora-adapters", false, &Service::list_scales},
                                      {"POST", "/lora-adapters", false, &Service::set_scales}};
  return all;
}

/// The path in `routes` that a request's path belongs to; empty for an unknown one.
std::string_view Service::route_of(std::string_view path) {
  for (const Route& route : routes()) {
    if (path == route.path) return route.path;
  }
  return path.starts_with(models_prefix) && path.size() > models_prefix.size() ? "/v1/models/{id}" : "";
}

/// "GET, HEAD, OPTIONS", for the Allow header.
std::string Service::methods_of(std::string_view path) {
  std::string methods;
  for (const Route& route : routes()) {
    if (path != route.path) continue;
    methods += route.method == std::string_view("GET") ? "GET, HEAD, " : "POST, ";
  }
  return methods + "OPTIONS";
}

HttpHandler Service::handler() {
  return {[this](const HttpRequest& head) { return refusal(head); },
          [this](HttpRequest request, std::shared_ptr<Exchange> exchange) { handle(request, exchange); },
          [](int status, const std::string& message) { return refusal_response(Refusal(status, message)); },
          [this](const HttpRecord& one) { record(one); }};
}

std::optional<HttpResponse> Service::refusal(const HttpRequest& head) const {
  const std::string_view path = route_of(head.path);
  const bool open =
      std::ranges::any_of(routes(), [&](const Route& one) { return path == one.path && one.open; });
  const auto with_origin = [&](HttpResponse response) {
    for (HttpHeader& header : options_.access.cross_origin_headers(head))
      response.headers.push_back(std::move(header));
    return response;
  };
  if (const auto refused = options_.access.refusal(head, open))
    return with_origin(refusal_response(Refusal(refused->status, refused->message)));
  if (path.empty())
    return with_origin(refusal_response(Refusal(404, fmt::format("nothing is at {}", in_quotes(head.path)))));
  const std::string methods = methods_of(path);
  if (head.method == "OPTIONS") {
    HttpResponse response{204};
    response.headers = {{"Allow", methods}};
    if (!options_.access.cross_origin_headers(head).empty()) {
      response.headers.emplace_back("Access-Control-Allow-Methods", methods);
      response.headers.emplace_back("Access-Control-Allow-Headers", "Authorization, Content-Type");
      response.headers.emplace_back("Access-Control-Max-Age", "600");
    }
    return with_origin(std::move(response));
  }
  const std::string_view method = head.method == "HEAD" ? "GET" : std::string_view(head.method);
  const bool taken = std::ranges::any_of(
      routes(), [&](const Route& one) { return path == one.path && method == one.method; });
  if (!taken) return with_origin(method_refusal(methods));
  if (!head.content_encoding.empty() && head.content_encoding != "identity")
    return with_origin(refusal_response(Refusal(415, "compressed requests are not taken")));
  return std::nullopt;
}

namespace {

/// Adds headers to an answer's head; all else passes.
class WithHeaders final : public Exchange {
 public:
  WithHeaders(std::shared_ptr<Exchange> inner, std::vector<HttpHeader> headers)
      : inner_(std::move(inner)), headers_(std::move(headers)) {}

  void answer(HttpResponse response) override { inner_->answer(added(std::move(response))); }
  void begin(HttpResponse head) override { inner_->begin(added(std::move(head))); }
  void send(std::string piece) override { inner_->send(std::move(piece)); }
  void end() override { inner_->end(); }
  void post(std::function<void()> work) override { inner_->post(std::move(work)); }
  void on_gone(std::function<void()> work) override { inner_->on_gone(std::move(work)); }
  void set_note(std::string note) override { inner_->set_note(std::move(note)); }

 private:
  HttpResponse added(HttpResponse response) const {
    response.headers.insert(response.headers.end(), headers_.begin(), headers_.end());
    return response;
  }

  std::shared_ptr<Exchange> inner_;
  std::vector<HttpHeader> headers_;
};

}  // namespace

void Service::handle(const HttpRequest& request, const Reply& given) {
  Reply exchange = given;
  if (auto headers = options_.access.cross_origin_headers(request); !headers.empty())
    exchange = std::make_shared<WithHeaders>(given, std::move(headers));
  const std::string_view path = route_of(request.path);
  const std::string_view method = request.method == "HEAD" ? "GET" : std::string_view(request.method);
  const auto route = std::ranges::find_if(
      routes(), [&](const Route& one) { return path == one.path && method == one.method; });
  try {
    if (route == routes().end()) throw Refusal(404, "nothing is here");
    (this->*route->answer)(request, exchange);
  } catch (const Error& error) {
    exchange->answer(refusal_response(refusal_of(error)));
  } catch (const std::exception& error) {
    warn("{} {}: {}", request.method, request.path, error.what());
    exchange->answer(refusal_response(Refusal(500, "the server failed at this request")));
  }
}

void Service::record(const HttpRecord& one) {
  const std::string_view route = route_of(one.path);
  metrics_.record(one, route.empty() ? "other" : route);
  if (options_.quiet) return;
  constexpr double milliseconds = 1000;
  const std::string status = one.status == 0 ? "gone" : std::to_string(one.status);
  info("{} {} {} {:.0f} ms{}{}", one_line(one.method.empty() ? "-" : one.method, 16),
       one_line(one.path.empty() ? "-" : one.path, 200), status, one.seconds * milliseconds,
       one.note.empty() ? "" : ", ", one_line(one.note));
}

void Service::health(const HttpRequest&, const Reply& exchange) {
  exchange->answer({200, R"({"status": "ok"})"});
}

void Service::metrics(const HttpRequest&, const Reply& exchange) {
  HttpResponse response{200, metrics_.text(served_.loop.statistics(), served_.name, served_.adapters.size(),
                                           connections_ ? connections_() : 0)};
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  exchange->answer(std::move(response));
}

void Service::asset(const HttpRequest& request, const Reply& exchange) {
  const Asset* asset = find_asset(request.path);
  if (!asset) throw Refusal(404, "this build has no page");
  HttpResponse response{200, std::string(asset->content), std::string(asset->content_type)};
  response.headers = {{"Content-Security-Policy", content_policy},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cross-Origin-Opener-Policy", "same-origin"},
                      {"Cache-Control", "no-cache"}};
  exchange->answer(std::move(response));
}

void Service::list_models(const HttpRequest&, const Reply& exchange) {
  Json list = Json::array({model_json({served_.name, served_.name, "", served_.created, served_.context})});
  for (const ServedAdapter& one : served_.adapters.all()) {
    if (!one.problem.empty()) continue;
    list.push_back(model_json({one.name, one.path.filename(), served_.name, one.created, served_.context}));
  }
  exchange->answer({200, json_text(Json{{"object", "list"}, {"data", std::move(list)}})});
}

void Service::one_model(const HttpRequest& request, const Reply& exchange) {
  const auto adapter = adapter_of(request.path.substr(models_prefix.size()));
  const ListedModel base{served_.name, served_.name, "", served_.created, served_.context};
  const Json shown = adapter ? model_json({adapter->name, adapter->path.filename(), served_.name,
                                           adapter->created, served_.context})
                             : model_json(base);
  exchange->answer({200, json_text(shown)});
}

std::optional<ServedAdapter> Service::adapter_of(const std::string& model) const {
  if (model.empty() || model == served_.name) return std::nullopt;
  auto adapter = served_.adapters.find(model);
  if (!adapter) {
    const auto near = served_.adapters.nearest(model);
    throw Refusal(404,
                  fmt::format("the model {} does not exist{}", in_quotes(model),
                              near ? fmt::format(" (did you mean {}?)", *near) : ""),
                  "model", "model_not_found");
  }
  if (!adapter->problem.empty())
    throw Refusal(404,
                  fmt::format("the adapter {} cannot be used: {}", in_quotes(model),
                              text_for_clients(*adapter, adapter->problem)),
                  "model", "model_not_usable");
  return adapter;
}

void Service::need_generation() const {
  if (!served_.store)
    throw Refusal(400,
                  "the model is an encoder and generates no text; /v1/embeddings and /classify are for it");
}

}  // namespace lowrank::serve
