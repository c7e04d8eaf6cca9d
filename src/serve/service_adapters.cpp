// The endpoints that change which adapters are served.
#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/log.h"
#include "base/one_line.h"
#include "serve/api/refusal.h"
#include "serve/api/text_requests.h"
#include "serve/service.h"

namespace lowrank::serve {

void Service::need_changes() const {
  need_generation();
  if (!options_.allow_adapter_changes)
    throw Refusal(403, "the server does not let clients change its adapters; --allow-adapter-changes does");
}

void Service::load_adapter(const HttpRequest& http, const Reply& exchange) {
  need_changes();
  const AdapterRequest request = adapter_request(http.body, true);
  if (options_.adapter_folder.empty())
    throw Refusal(400, "the server has no folder of adapters (--adapters)");
  const auto path = adapter_inside(options_.adapter_folder, request.path);
  // Known to requests only when the store has it.
  const auto work = [this, exchange, request, path] {
    HttpResponse response{200, fmt::format("Success: LoRA adapter '{}' added successfully.", request.name)};
    response.content_type = "text/plain; charset=utf-8";
    try {
      served_.adapters.add(request.name, path);
      try {
        served_.store->add(request.name, path);
      } catch (const std::exception& error) {
        served_.adapters.remove(request.name);
        warn("adapter {}: {}", in_quotes(request.name), error.what());
        throw Error(ErrorKind::invalid, without_folder(error.what(), path, request.name));
      }
      info("adapter {}: loaded", in_quotes(request.name));
    } catch (const Error& error) {
      response = refusal_response(Refusal(400, error.what(), "lora_name"));
    } catch (const std::exception& error) {
      response = refusal_response(Refusal(500, error.what(), "lora_name"));
    }
    exchange->post([exchange, response] { exchange->answer(response); });
  };
  if (!served_.loop.post(work)) throw Refusal(503, "the server has too many requests; try again later");
}

void Service::unload_adapter(const HttpRequest& http, const Reply& exchange) {
  need_changes();
  const AdapterRequest request = adapter_request(http.body, false);
  const auto adapter = served_.adapters.find(request.name);
  if (!adapter)
    throw Refusal(404, fmt::format("no adapter is called {}", in_quotes(request.name)), "lora_name",
                  "model_not_found");
  const auto work = [this, exchange, adapter = *adapter] {
    HttpResponse response{200, fmt::format("Success: LoRA adapter '{}' removed successfully.", adapter.name)};
    response.content_type = "text/plain; charset=utf-8";
    try {
      if (!served_.adapters.remove(adapter.name))
        throw Refusal(404, "the adapter is gone already", "lora_name", "model_not_found");
      // One with a problem from the start is in the list alone.
      if (served_.store->contains(adapter.name)) served_.store->remove(adapter.name);
      served_.formats->forget(adapter);
      info("adapter {}: unloaded", in_quotes(adapter.name));
    } catch (const Error& error) {
      response = refusal_response(refusal_of(error));
    } catch (const std::exception& error) {
      response = refusal_response(Refusal(500, error.what()));
    }
    exchange->post([exchange, response] { exchange->answer(response); });
  };
  if (!served_.loop.post(work)) throw Refusal(503, "the server has too many requests; try again later");
}

void Service::list_scales(const HttpRequest&, const Reply& exchange) {
  need_changes();
  Json list = Json::array();
  std::vector<ServedAdapter> all = served_.adapters.all();
  std::ranges::sort(all, {}, &ServedAdapter::id);
  for (const ServedAdapter& one : all)
    list.push_back(
        {{"id", one.id}, {"name", one.name}, {"path", one.path.filename().string()}, {"scale", one.scale}});
  exchange->answer({200, json_text(list)});
}

void Service::set_scales(const HttpRequest& http, const Reply& exchange) {
  need_changes();
  // As in llama.cpp, those that are not named get 0.
  std::map<std::string, double> scales;
  for (const ServedAdapter& one : served_.adapters.all()) scales[one.name] = 0;
  for (const ChosenAdapter& one : adapter_scales(http.body)) {
    const auto adapter = served_.adapters.with_id(one.id);
    if (!adapter) refuse("id", "no adapter has the id {}", one.id);
    scales[adapter->name] = one.scale;
  }
  for (const auto& [name, scale] : scales) served_.adapters.set_scale(name, scale);
  list_scales(http, exchange);
}

}  // namespace lowrank::serve
