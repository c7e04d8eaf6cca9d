// Renders chat templates for another program: reads one JSON object a line and answers each with one on one
// line.
//   render   {"template": path, "messages", "tools", "documents", "kwargs", "bos_token", "eos_token",
//             "add_generation_prompt", "continue_final_message", "raw", "spans", "now"}
//   snippet  {"source": text, "context": {...}, "spans", "now"}
//   mask     a render with "mask": true: the answer also has "turns", what the assistant says, in bytes
// Answers: {"text", "byte_spans"} or {"error"}.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "tokenizer/chat/chat_turns.h"
#include "tokenizer/jinja/template.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr JsonLimits limits{.depth = 4000};

jinja::CalendarTime time_of(const std::string& text) {
  jinja::CalendarTime time;
  std::sscanf(text.c_str(), "%d-%d-%dT%d:%d:%d", &time.year, &time.month, &time.day, &time.hour, &time.minute,
              &time.second);
  return time;
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  check(file.good(), ErrorKind::not_found, "{}: cannot be read", path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Json answer(const Rendering& rendering, bool spans) {
  Json result = {{"text", rendering.text}};
  if (!spans) return result;
  result["byte_spans"] = Json::array();
  for (const jinja::Span& span : rendering.spans) result["byte_spans"].push_back({span.begin, span.end});
  return result;
}

Json snippet(const Json& request) {
  const jinja::Template chat(request.at("source"), "snippet");
  std::vector<jinja::Variable> variables;
  for (const auto& [name, value] : request.at("context").items())
    variables.push_back({name, &value, name == "messages"});
  return answer(chat.render(variables, time_of(request.at("now"))), request.value("spans", false));
}

/// The templates of the requests so far: compiling takes longer than rendering.
const ChatTemplate& template_of(const Json& request) {
  static std::map<std::string, ChatTemplate> known;
  const std::string path = request.at("template");
  std::vector<std::pair<std::string, std::string>> tokens;
  std::string key = path;
  for (const char* name : {"bos_token", "eos_token"}) {
    if (!request.contains(name) || !request[name].is_string()) continue;
    tokens.emplace_back(name, request[name]);
    key += "\n" + request[name].get<std::string>();
  }
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  return known.emplace(key, ChatTemplate(contents(path), path, std::move(tokens))).first->second;
}

/// Texts in a template that are probably special tokens (`<|im_end|>`, `</s>`, `[INST]`): there is no
/// tokenizer here.
std::vector<std::string> likely_special_tokens(std::string_view source) {
  constexpr size_t longest = 40;
  std::vector<std::string> found;
  for (const auto& [open, shut] : {std::pair{'<', '>'}, std::pair{'[', ']'}}) {
    for (size_t begin = source.find(open); begin != std::string_view::npos;
         begin = source.find(open, begin + 1)) {
      const size_t end = source.find(shut, begin);
      if (end == std::string_view::npos) break;
      const std::string_view inner = source.substr(begin + 1, end - begin - 1);
      const bool name = !inner.empty() && inner.size() <= longest &&
                        inner.find_first_of(" \t\n'\"<>[](){}:,.%") == std::string_view::npos;
      const bool capitals =
          std::ranges::all_of(inner, [](char c) { return (c >= 'A' && c <= 'Z') || c == '_' || c == '/'; });
      if (name && (open == '<' || capitals)) found.emplace_back(source.substr(begin, end - begin + 1));
    }
  }
  return found;
}

Json render(const Json& request) {
  Conversation conversation;
  conversation.messages = request.at("messages");
  conversation.tools = request.value("tools", Json());
  conversation.documents = request.value("documents", Json());
  conversation.extra = request.value("kwargs", Json::object());
  RenderOptions options;
  options.add_generation_prompt = request.value("add_generation_prompt", false);
  options.continue_final_message = request.value("continue_final_message", false);
  options.drop_null_keys = !request.value("raw", false);
  options.now = time_of(request.at("now"));
  const ChatTemplate& chat = template_of(request);
  const Rendering rendering = chat.render(conversation, options);
  Json result = answer(rendering, request.value("spans", false));
  if (!request.value("mask", false)) return result;
  result["bytes"] = true;
  result["turns"] = Json::array();
  const TurnFinder finder(chat, likely_special_tokens(chat.source()), options);
  for (const AssistantTurn& turn : finder.turns(conversation, rendering))
    result["turns"].push_back({{"message", turn.message}, {"start", turn.begin()}, {"end", turn.end()}});
  return result;
}

}  // namespace
}  // namespace lowrank

int main() {
  using namespace lowrank;
  for (std::string line; std::getline(std::cin, line);) {
    Json result;
    try {
      const Json request = parse_ordered_json(line, "request", limits);
      result = request.contains("source") ? snippet(request) : render(request);
    } catch (const std::exception& error) {
      result = {{"error", error.what()}};
    }
    std::cout << json_text(result) << std::endl;
  }
  return 0;
}
