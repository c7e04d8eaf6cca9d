#include "serve/options.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/mmap_file.h"
#include "serve/http/access.h"

namespace lowrank::serve {
namespace {

std::vector<Field> adapter_fields(ServeOptions& options) {
  return {field("adapters", options.adapters,
                "a folder whose subfolders are adapters; each is served as a model of its subfolder's name"),
          repeatable(field("adapter", options.adapter, "an adapter, NAME=FOLDER; may be repeated")),
          field("name", options.name, "the base's name for clients; empty: from its path"),
          limited(field("resident_adapters", options.resident_adapters,
                        "adapters in memory; the one that was not used for the longest time leaves first"),
                  1, 1 << 20),
          field("allow_adapter_changes", options.allow_adapter_changes,
                "clients may load adapters from the folder, unload them and change their scales")};
}

std::vector<Field> access_fields(ServeOptions& options) {
  return {field("host", options.host, "the address to listen at; 127.0.0.1: this machine alone"),
          limited(field("port", options.port, "the port to listen at; 0: one that is free"), 0, 65535),
          field("api_key", options.api_key,
                "the key that clients must give; others on this machine may see it in the list of processes"),
          field("api_key_file", options.api_key_file,
                "a file with the key; without either, the variable LOWRANK_API_KEY"),
          field("without_api_key", options.without_api_key,
                "others than this machine may use the server without a key"),
          repeatable(field("allow_origin", options.allow_origin,
                           "a site whose pages may use the server, https://example.org; may be repeated")),
          repeatable(field("allow_host", options.allow_host,
                           "a further name that clients may call the server by; may be repeated"))};
}

std::vector<Field> limit_fields(ServeOptions& options) {
  std::vector<Field> fields{
      limited(field("max_requests", options.max_requests, "requests that run or wait; more are refused"), 1,
              1 << 20),
      limited(field("max_choices", options.max_choices, "answers (n), or prompts, of one request"), 1, 4096),
      limited(field("max_new_tokens", options.max_new_tokens,
                    "longest answer to a request that does not limit it"),
              1, 1 << 24),
      limited(field("drain_timeout", options.drain_timeout,
                    "seconds that running requests have to finish after SIGTERM or Ctrl-C"),
              0, 24 * 3600)};
  for (Field& one : options.http.fields()) fields.push_back(std::move(one));
  fields.push_back(field("quiet", options.quiet, "no line for each request"));
  return fields;
}

}  // namespace

std::vector<std::pair<std::string, std::vector<Field>>> ServeOptions::groups() {
  std::vector<Field> defaults = sampling.fields();
  std::erase_if(defaults,
                [](const Field& one) { return one.name == "seed" || one.name == "no_repeat_ngram_size"; });
  return {{"Options", session.fields()},
          {"Adapters", adapter_fields(*this)},
          {"Access", access_fields(*this)},
          {"Limits", limit_fields(*this)},
          {"Engine", engine.fields()},
          {"Chat", chat.template_fields()},
          {"Sampling, where a request says nothing", std::move(defaults)}};
}

std::string served_name(const std::string& path) {
  const std::filesystem::path place = std::filesystem::path(path).lexically_normal();
  constexpr std::string_view prefix = "models--";
  for (const std::filesystem::path& part : place) {
    std::string text = part.string();
    if (!text.starts_with(prefix)) continue;
    text.erase(0, prefix.size());
    if (const size_t between = text.find("--"); between != std::string::npos) text.replace(between, 2, "/");
    return text;
  }
  const std::filesystem::path last = place.has_filename() ? place.filename() : place.parent_path().filename();
  return last.extension() == ".gguf" ? last.stem() : last;
}

std::string api_key_of(const ServeOptions& options) {
  std::string key = options.api_key;
  check(key.empty() || options.api_key_file.empty(), ErrorKind::invalid,
        "give either `api_key` or `api_key_file`");
  if (!options.api_key_file.empty()) {
    constexpr size_t longest = 4096;
    const MmapFile file = MmapFile::open(options.api_key_file);
    const size_t size = std::min(file.bytes().size(), longest);
    key.assign(reinterpret_cast<const char*>(file.bytes().data()), size);
    key.resize(std::min(key.size(), key.find_first_of("\r\n")));
    check(!key.empty(), ErrorKind::invalid, "{}: the first line is empty; it must be the API key",
          options.api_key_file);
  } else if (const char* variable = key.empty() ? std::getenv("LOWRANK_API_KEY") : nullptr) {
    key = variable;
  }
  check(key.find_first_of(" \t") == std::string::npos, ErrorKind::invalid, "an API key has no white space");
  return key;
}

void check_reach(const ServeOptions& options, const std::string& api_key) {
  if (is_loopback(options.host) || !api_key.empty() || options.without_api_key) return;
  throw Error(
      ErrorKind::invalid,
      fmt::format("`host` {}: other machines could use the server without a key", options.host),
      "give a key (`api_key_file`, or the variable LOWRANK_API_KEY), or allow it with `without_api_key`");
}

}  // namespace lowrank::serve
