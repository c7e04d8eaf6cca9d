#include "session/chat_options.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <mutex>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mmap_file.h"
#include "base/one_line.h"
#include "data/conversations/conversation_row.h"
#include "tokenizer/chat/template_files.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t max_conversation_bytes = 64 << 20;

constexpr std::array<std::string_view, 8> conversation_keys{
    "messages", "conversations", "conversation", "system",
    "tools",    "functions",     "documents",    "chat_template_kwargs"};

std::string standard_input() {
  std::string text;
  std::array<char, 1 << 16> piece{};
  while (std::cin.read(piece.data(), piece.size()) || std::cin.gcount() > 0) {
    text.append(piece.data(), static_cast<size_t>(std::cin.gcount()));
    if (text.size() > max_conversation_bytes) break;
  }
  return text;
}

std::string content_of(const std::string& path) {
  if (path == "-") return standard_input();
  const MmapFile file = MmapFile::open(path);
  return {reinterpret_cast<const char*>(file.bytes().data()),
          std::min(file.bytes().size(), max_conversation_bytes + 1)};
}

/// Variables of every template that no option sets.
constexpr std::array<std::string_view, 5> set_by_program{"messages", "tools", "documents",
                                                         "add_generation_prompt", "continue_final_message"};

/// A value as the command line gives it: JSON if it is a boolean, number, list or object, else a text.
Json value_of(const std::string& text) {
  // Python's words, as transformers' examples have them.
  if (text == "True" || text == "False") return text == "True";
  if (text == "None") return nullptr;
  Json value = Json::parse(text, nullptr, false);
  return value.is_discarded() ? Json(text) : value;
}

/// Whether a text goes on with ",NAME=" as if it were several variables.
bool looks_like_several(const std::string& text) {
  const auto in_name = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
  for (size_t comma = text.find(','); comma != std::string::npos; comma = text.find(',', comma + 1)) {
    const auto end =
        std::find_if_not(text.begin() + static_cast<std::ptrdiff_t>(comma) + 1, text.end(), in_name);
    if (end != text.end() && *end == '=' && end[-1] != ',') return true;
  }
  return false;
}

Json variables_of(const ChatOptions& options) {
  Json variables = Json::object();
  for (const std::string& variable : options.chat_template_kwargs) {
    const size_t equals = variable.find('=');
    check(equals != std::string::npos && equals > 0, ErrorKind::invalid,
          "`chat_template_kwargs` {}: a variable is given as KEY=VALUE", in_quotes(variable));
    const std::string name = variable.substr(0, equals);
    check(std::ranges::find(set_by_program, name) == set_by_program.end(), ErrorKind::invalid,
          "`chat_template_kwargs`: {} is what the program itself gives the template; leave it out", name);
    check(!variables.contains(name), ErrorKind::invalid, "`chat_template_kwargs`: {} is given twice", name);
    Json value = value_of(variable.substr(equals + 1));
    check(!value.is_string() || value != variable.substr(equals + 1) || !looks_like_several(value),
          ErrorKind::invalid,
          "`chat_template_kwargs` {}: each variable is given by an option of its own; a text that reads like "
          "this is given in JSON's quotes, {}={}",
          in_quotes(variable), name, json_text(value));
    variables[name] = std::move(value);
  }
  return variables;
}

/// Midnight of a date, or the present moment.
jinja::CalendarTime time_of(const std::string& date) {
  if (date.empty()) return jinja::present_time();
  jinja::CalendarTime time;
  int read = 0;
  const int found = std::sscanf(date.c_str(), "%4d-%2d-%2d%n", &time.year, &time.month, &time.day, &read);
  const bool valid = found == 3 && static_cast<size_t>(read) == date.size() && time.year > 0 &&
                     std::chrono::year_month_day(std::chrono::year(time.year),
                                                 std::chrono::month(static_cast<unsigned>(time.month)),
                                                 std::chrono::day(static_cast<unsigned>(time.day)))
                         .ok();
  check(valid, ErrorKind::invalid, "`chat_date` {}: a date is written YYYY-MM-DD", in_quotes(date));
  return time;
}

}  // namespace

std::vector<Field> ChatOptions::template_fields() {
  return {field("chat_template", chat_template,
                "a file with a chat template, or the name of one of the model's; empty: the model's default"),
          repeatable(field("chat_template_kwargs", chat_template_kwargs,
                           "a variable of the chat template, KEY=VALUE: enable_thinking=false; once for each "
                           "variable")),
          field("chat_date", chat_date, "date for chat templates that show it, YYYY-MM-DD; empty: today's")};
}

std::vector<Field> ChatOptions::fields() {
  std::vector<Field> all = template_fields();
  all.push_back(any_text(field("system", system, "text of the system message")));
  return all;
}

std::optional<ChatFormat> find_chat_format(const std::string& model, const std::vector<std::string>& adapters,
                                           const Tokenizer& tokenizer, const ChatOptions& options,
                                           bool has_tools) {
  StoredTemplates stored = read_chat_templates(model, tokenizer.spec());
  if (adapters.size() == 1) stored = chat_templates_with_adapter(adapters.front(), std::move(stored));
  std::optional<StoredTemplate> chosen = choose_template(stored, options.chat_template, has_tools);
  if (!chosen) return std::nullopt;
  return ChatFormat(ChatTemplate(std::move(chosen->source), std::move(chosen->where),
                                 {stored.special_tokens.begin(), stored.special_tokens.end()}),
                    tokenizer, variables_of(options), time_of(options.chat_date));
}

ChatFormat need_chat_format(const std::string& model, const std::vector<std::string>& adapters,
                            const Tokenizer& tokenizer, const ChatOptions& options, bool has_tools) {
  std::optional<ChatFormat> format = find_chat_format(model, adapters, tokenizer, options, has_tools);
  if (!format)
    throw Error(
        ErrorKind::unsupported,
        fmt::format("{}: the model has no chat template, which conversations need", model),
        "`chat_template` names a file with one; `lowrank generate` continues texts without a template");
  return std::move(*format);
}

std::function<const ChatFormat&(bool)> chat_format_on_demand(std::string model, std::string adapter,
                                                             const Tokenizer& tokenizer,
                                                             ChatOptions options) {
  struct Formats {
    std::mutex mutex;
    std::array<std::optional<ChatFormat>, 2> made;
  };
  std::vector<std::string> adapters;
  if (!adapter.empty()) adapters.push_back(std::move(adapter));
  return [formats = std::make_shared<Formats>(), model = std::move(model), adapters = std::move(adapters),
          &tokenizer, options = std::move(options)](bool has_tools) -> const ChatFormat& {
    const std::scoped_lock lock(formats->mutex);
    std::optional<ChatFormat>& format = formats->made[has_tools ? 1 : 0];
    if (!format) format.emplace(need_chat_format(model, adapters, tokenizer, options, has_tools));
    return *format;
  };
}

void warn_of_plain_rows(const std::string& adapter) {
  namespace fs = std::filesystem;
  const fs::path folder(adapter);
  if (fs::exists(folder / "metrics.jsonl") && !fs::exists(folder / "chat_template.jinja"))
    warn(
        "{}: the adapter learned from plain texts, not from conversations; `raw` leaves the chat template "
        "out",
        adapter);
}

std::string today() {
  const jinja::CalendarTime now = jinja::present_time();
  return fmt::format("{:04}-{:02}-{:02}", now.year, now.month, now.day);
}

Conversation start_of_chat(const ChatOptions& options) {
  Conversation start;
  if (!options.system.empty()) start.messages.push_back({{"role", "system"}, {"content", options.system}});
  start.extra = variables_of(options);
  return start;
}

Conversation question_of(const ChatOptions& options, const std::string& text) {
  Conversation conversation = start_of_chat(options);
  conversation.messages.push_back({{"role", "user"}, {"content", text}});
  return conversation;
}

Conversation conversation_from_file(const std::string& path, const ChatOptions& options) {
  const std::string where = path == "-" ? "standard input" : path;
  const std::string text = content_of(path);
  check(text.size() <= max_conversation_bytes, ErrorKind::invalid, "{}: a conversation of more than {} bytes",
        where, max_conversation_bytes);
  Json given = parse_ordered_json(text, where, {.keys = 10'000});
  if (given.is_array()) given = Json{{"messages", std::move(given)}};
  check(given.is_object() && message_list_key(given) != nullptr, ErrorKind::invalid,
        "{}: expected a list of messages, or an object with \"messages\"", where);
  for (const auto& [key, value] : given.items())
    check(std::ranges::find(conversation_keys, key) != conversation_keys.end(), ErrorKind::invalid,
          "{}: the key {} is not known; known are {}", where, in_quotes(key),
          fmt::join(conversation_keys, ", "));
  if (!options.system.empty()) given["system"] = options.system;
  Conversation conversation =
      read_conversation(given, ConversationShape::messages, false, where).conversation;
  conversation.extra.update(variables_of(options));
  return conversation;
}

}  // namespace lowrank
