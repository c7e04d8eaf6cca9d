#include "serve/server_metrics.h"

#include <algorithm>

#include <fmt/format.h>

namespace lowrank::serve {
namespace {

/// A label's value: backslashes, quotes and line ends escaped.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\' || c == '"') result += '\\';
    result += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return result;
}

class Page {
 public:
  void add(std::string_view name, std::string_view kind, std::string_view help, double value) {
    head(name, kind, help);
    text_ += fmt::format("lowrank_{} {}\n", name, value);
  }

  void head(std::string_view name, std::string_view kind, std::string_view help) {
    text_ += fmt::format("# HELP lowrank_{0} {1}\n# TYPE lowrank_{0} {2}\n", name, help, kind);
  }

  void add(std::string_view name, std::string_view help, const Histogram& histogram) {
    head(name, "histogram", help);
    int64_t count = 0;
    for (size_t i = 0; i < histogram.counts.size(); ++i) {
      count += histogram.counts[i];
      const bool last = i == Histogram::bounds.size();
      text_ += fmt::format("lowrank_{}_bucket{{le=\"{}\"}} {}\n", name,
                           last ? "+Inf" : fmt::format("{}", Histogram::bounds[i]), count);
    }
    text_ += fmt::format("lowrank_{0}_sum {1}\nlowrank_{0}_count {2}\n", name, histogram.sum, count);
  }

  void line(std::string_view text) { text_ += text; }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

void add_engine(Page& page, const EngineStatistics& engine) {
  const auto gauge = [&](std::string_view name, std::string_view help, auto value) {
    page.add(name, "gauge", help, static_cast<double>(value));
  };
  const auto total = [&](std::string_view name, std::string_view help, auto value) {
    page.add(name, "counter", help, static_cast<double>(value));
  };
  gauge("requests_running", "Requests that are being computed.", engine.running);
  gauge("requests_waiting", "Requests that wait for room.", engine.waiting);
  gauge("cache_pages", "Pages of the cache of keys and values.", engine.pages);
  gauge("cache_pages_used", "Pages that running requests use.", engine.used_pages);
  gauge("cache_pages_reusable", "Pages that are kept for requests that begin alike.", engine.cached_pages);
  gauge("adapters_resident", "Adapters in memory.", engine.resident_adapters);
  total("prompt_tokens_total", "Tokens of prompts.", engine.prompt_tokens);
  total("cached_tokens_total", "Tokens of prompts that were in the cache.", engine.cached_tokens);
  total("generated_tokens_total", "Tokens that were generated.", engine.generated_tokens);
  total("requests_finished_total", "Requests that ended.", engine.finished);
  total("preemptions_total", "Requests that gave up their pages for others.", engine.preemptions);
  total("adapter_loads_total", "Adapters that were loaded.", engine.adapter_loads);
  total("adapter_evictions_total", "Adapters that left memory for others.", engine.adapter_evictions);
  total("steps_total", "Passes of the model.", engine.steps);
  total("step_seconds_total", "Seconds in passes of the model.", engine.seconds);
}

}  // namespace

void Histogram::add(double value) {
  ++counts[static_cast<size_t>(std::ranges::lower_bound(bounds, value) - bounds.begin())];
  sum += value;
}

void ServerMetrics::record(const HttpRecord& record, std::string_view route) {
  const std::scoped_lock lock(mutex_);
  ++requests_[{std::string(route), record.status}];
}

void ServerMetrics::first_token(double seconds) {
  const std::scoped_lock lock(mutex_);
  first_token_.add(seconds);
}

void ServerMetrics::finished(double seconds) {
  const std::scoped_lock lock(mutex_);
  finished_.add(seconds);
}

std::string ServerMetrics::text(const EngineStatistics& engine, const std::string& model, int64_t adapters,
                                int64_t connections) const {
  Page page;
  page.head("info", "gauge", "The model that is served.");
  page.line(fmt::format("lowrank_info{{model=\"{}\"}} 1\n", escaped(model)));
  add_engine(page, engine);
  page.add("adapters", "gauge", "Adapters that requests may name.", static_cast<double>(adapters));
  page.add("connections", "gauge", "Open connections.", static_cast<double>(connections));
  const std::scoped_lock lock(mutex_);
  page.add("time_to_first_token_seconds", "Seconds from a request to its first token.", first_token_);
  page.add("request_seconds", "Seconds from a request to its last token.", finished_);
  page.head("http_requests_total", "counter", "Requests by path and status; 0: the client went away.");
  for (const auto& [key, count] : requests_)
    page.line(fmt::format("lowrank_http_requests_total{{path=\"{}\",status=\"{}\"}} {}\n", escaped(key.first),
                          key.second, count));
  return page.take();
}

}  // namespace lowrank::serve
