#include "data/conversations/conversation_row.h"

#include <array>
#include <utility>

#include "base/error.h"
#include "data/conversations/content.h"
#include "data/conversations/json_values.h"
#include "data/conversations/message.h"
#include "data/conversations/tools.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<const char*, 3> list_keys{"messages", "conversations", "conversation"};

class ConversationReader {
 public:
  ConversationReader(const Json& row, const std::string& where) : row_(row), where_(where) {}

  ConversationRow take() {
    add_system();
    read_row_tools();
    read_documents();
    read_extra();
    return std::move(result_);
  }

  void read_list() {
    const char* key = message_list_key(row_);
    check(key != nullptr, ErrorKind::invalid, "{}: the row has no \"messages\" (or \"conversations\")",
          where_);
    for (const char* other : list_keys) {
      const auto found = row_.find(other);
      const bool second = other != key && found != row_.end() && !found->empty();
      check(!second, ErrorKind::invalid, "{}: \"{}\" and \"{}\" stand side by side; only one can be read",
            where_, key, other);
    }
    add_list(key, "message");
  }

  void read_prompt(bool need_completion) {
    add_list("prompt", "prompt message");
    result_.first_target = std::ssize(result_.trained);
    const bool missing = !row_.contains("completion") || row_["completion"].is_null();
    if (missing && !need_completion) return;
    check(!missing, ErrorKind::invalid, "{}: the row has no \"completion\"", where_);
    add_list("completion", "completion message");
  }

  void read_alpaca(bool need_completion) {
    add_history();
    const std::string input = text("input", false);
    add("user", text("instruction", true) + (input.empty() ? "" : "\n" + input));
    if (need_completion || field("output")) add("assistant", text("output", true));
  }

 private:
  const Json* field(const char* key) const {
    const auto found = row_.find(key);
    return found == row_.end() || found->is_null() ? nullptr : &*found;
  }

  std::string text(const char* key, bool required) const {
    const Json* found = field(key);
    check(found || !required, ErrorKind::invalid, "{}: the row has no \"{}\"", where_, key);
    if (!found) return {};
    check(found->is_string(), ErrorKind::invalid, "{}: \"{}\" must be a string, not {}", where_, key,
          type_of(*found));
    return found->get<std::string>();
  }

  void add(const char* role, std::string content) {
    result_.conversation.messages.push_back({{"role", role}, {"content", std::move(content)}});
    result_.trained.emplace_back();
  }

  /// Adds the messages of a list; `what` names each in errors.
  void add_list(const char* key, const char* what) {
    const Json* found = field(key);
    const bool text_beside_list = found && found->is_string() && std::string_view(what) != "message";
    check(!text_beside_list, ErrorKind::invalid,
          "{}: \"{}\" is a string where \"prompt\" or \"completion\" is a list of messages; write it as "
          "[{{\"role\": \"{}\", \"content\": \"...\"}}], or both as strings",
          where_, key, std::string_view(key) == "prompt" ? "user" : "assistant");
    const Json list =
        found ? opened(*found, fmt::format("{}: \"{}\"", where_, key), "a list of messages") : Json();
    check(list.is_array(), ErrorKind::invalid, "{}: \"{}\" must be a list of messages, not {}", where_, key,
          type_of(list));
    check(!list.empty(), ErrorKind::invalid, "{}: \"{}\" has no messages", where_, key);
    for (size_t i = 0; i < list.size(); ++i) {
      ChatMessage message = read_message(list[i], fmt::format("{}: {} {}", where_, what, i + 1));
      result_.conversation.messages.push_back(std::move(message.fields));
      result_.trained.push_back(message.trained);
    }
  }

  void add_history() {
    const Json* found = field("history");
    const Json history = found ? opened(*found, where_ + ": \"history\"", "a list of pairs") : Json();
    if (history.is_null()) return;
    check(history.is_array(), ErrorKind::invalid, "{}: \"history\" must be a list, not {}", where_,
          type_of(history));
    for (const Json& turn : history) {
      const bool pair = turn.is_array() && turn.size() == 2 && turn[0].is_string() && turn[1].is_string();
      check(pair, ErrorKind::invalid,
            "{}: \"history\" must be a list of pairs [\"instruction\", \"answer\"] of strings", where_);
      add("user", turn[0].get<std::string>());
      add("assistant", turn[1].get<std::string>());
    }
  }

  /// The row's system prompt goes in front, unless the messages begin with the same one.
  void add_system() {
    const std::string system = text("system", false);
    if (system.empty()) return;
    Json& messages = result_.conversation.messages;
    const Json& first = messages.front();
    if (first.at("role") == "system" || first.at("role") == "developer") {
      check(first.value("content", Json("")) == system, ErrorKind::invalid,
            "{}: \"system\" and the first message are two different system prompts; only one can be read",
            where_);
      return;
    }
    const Json message = {{"role", "system"}, {"content", system}};
    messages.insert(messages.begin(), message);
    result_.trained.insert(result_.trained.begin(), std::nullopt);
    if (result_.first_target > 0) ++result_.first_target;
  }

  void read_row_tools() {
    Json& tools = result_.conversation.tools;
    for (const char* key : {"tools", "functions"}) {
      const Json* found = field(key);
      if (!found) continue;
      Json read = read_tools(*found, fmt::format("{}: \"{}\"", where_, key));
      check(tools.is_null() || read.is_null(), ErrorKind::invalid,
            "{}: \"tools\" and \"functions\" stand side by side; only one can be read", where_);
      if (!read.is_null()) tools = std::move(read);
    }
  }

  void read_documents() {
    const Json* found = field("documents");
    if (!found) return;
    Json documents = opened(*found, where_ + ": \"documents\"", "a list");
    if (documents.empty()) return;
    check(documents.is_array(), ErrorKind::invalid, "{}: \"documents\" must be a list, not {}", where_,
          type_of(documents));
    result_.conversation.documents = std::move(documents);
  }

  void read_extra() {
    const Json* found = field("chat_template_kwargs");
    if (!found) return;
    Json extra = opened(*found, where_ + ": \"chat_template_kwargs\"", "an object");
    if (extra.is_null()) return;
    check(extra.is_object(), ErrorKind::invalid, "{}: \"chat_template_kwargs\" must be an object, not {}",
          where_, type_of(extra));
    for (const char* key :
         {"messages", "tools", "documents", "add_generation_prompt", "continue_final_message"}) {
      check(!extra.contains(key), ErrorKind::invalid,
            "{}: \"{}\" in \"chat_template_kwargs\" is not a variable of the row's own", where_, key);
    }
    result_.conversation.extra = std::move(extra);
  }

  const Json& row_;
  const std::string& where_;
  ConversationRow result_;
};

}  // namespace

const char* message_list_key(const Json& row) {
  for (const char* key : list_keys) {
    const auto found = row.find(key);
    if (found != row.end() && !found->is_null()) return key;
  }
  return nullptr;
}

ConversationRow read_conversation(const Json& row, ConversationShape shape, bool need_completion,
                                  const std::string& where) {
  ConversationReader reader(row, where);
  switch (shape) {
    case ConversationShape::messages:
      reader.read_list();
      break;
    case ConversationShape::prompt:
      reader.read_prompt(need_completion);
      break;
    case ConversationShape::alpaca:
      reader.read_alpaca(need_completion);
  }
  return reader.take();
}

}  // namespace lowrank
