#include "data/conversations/message.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/one_line.h"
#include "data/conversations/content.h"
#include "data/conversations/json_values.h"
#include "data/conversations/tools.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

/// Names of roles in data sets, and the role that they stand for.
constexpr std::array<std::pair<std::string_view, std::string_view>, 18> roles{{
    {"system", "system"},
    {"developer", "developer"},
    {"user", "user"},
    {"human", "user"},
    {"input", "user"},
    {"assistant", "assistant"},
    {"gpt", "assistant"},
    {"chatgpt", "assistant"},
    {"bot", "assistant"},
    {"model", "assistant"},
    {"output", "assistant"},
    {"tool", "tool"},
    {"observation", "tool"},
    {"ipython", "tool"},
    {"function", "tool"},
    {"function_response", "tool"},
    {"tool_response", "tool"},
    {"function_call", "assistant"},
}};
constexpr std::string_view call_role = "function_call";

constexpr std::array<const char*, 3> reasoning{"reasoning_content", "reasoning", "thinking"};

/// Keys that change what a message says and that no template for text reads.
constexpr std::array<std::string_view, 17> unread{
    "image",       "images",  "image_url", "audio",           "audios",     "video",
    "videos",      "refusal", "file",      "files",           "attachment", "attachments",
    "loss_weight", "prefix",  "train",     "training_detail", "loss"};

bool is_filled(const Json& value) {
  const bool empty_text = value.is_string() && value.get_ref<const std::string&>().empty();
  return !value.is_null() && !empty_text && !(value.is_structured() && value.empty());
}

bool is_set(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && !found->is_null();
}

std::string known_roles() {
  std::string names;
  for (const auto& [name, role] : roles) names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
  return names;
}

class MessageReader {
 public:
  MessageReader(const Json& given, const std::string& where) : given_(given), where_(where) {}

  ChatMessage read() {
    check(given_.is_object(), ErrorKind::invalid,
          "{} must be an object with \"role\" and \"content\", not {}", where_, type_of(given_));
    check_unread();
    const std::string name = role_name();
    role_ = std::ranges::find(roles, name, &std::pair<std::string_view, std::string_view>::first)->second;
    const char* content = one_key("content", "value");
    for (const auto& [key, value] : given_.items()) {
      if (value.is_null()) continue;
      if (key == role_key_) {
        message_.fields["role"] = role_;
      } else if (key == content) {
        name == call_role ? take_call(value) : take_content(value);
      } else {
        take(key, value);
      }
    }
    check_complete();
    return std::move(message_);
  }

 private:
  void check_unread() const {
    for (const auto& [key, value] : given_.items()) {
      const bool lost = std::ranges::find(unread, key) != unread.end() && is_filled(value);
      check(!lost, ErrorKind::unsupported,
            "{}: \"{}\" is not read, and without it the message means something else", where_, key);
    }
  }

  /// The one of two keys that is there; both are an error.
  const char* one_key(const char* key, const char* other) const {
    check(!is_set(given_, key) || !is_set(given_, other), ErrorKind::invalid,
          "{}: \"{}\" and \"{}\" stand side by side; only one can be read", where_, key, other);
    return is_set(given_, other) ? other : key;
  }

  std::string role_name() {
    role_key_ = one_key("role", "from");
    const auto role = given_.find(role_key_);
    check(is_set(given_, role_key_), ErrorKind::invalid, "{} has no \"role\" (or \"from\")", where_);
    check(role->is_string(), ErrorKind::invalid, "{}: \"{}\" must be a string, not {}", where_, role_key_,
          type_of(*role));
    const auto& name = role->get_ref<const std::string&>();
    const bool known = std::ranges::any_of(roles, [&](const auto& entry) { return entry.first == name; });
    check(known, ErrorKind::invalid, "{}: the role {} is not known; known are {}", where_,
          in_quotes(name, 40), known_roles());
    return name;
  }

  void take_content(const Json& value) { message_.fields["content"] = message_content(value, where_); }

  void take_call(const Json& value) {
    check(value.is_string() || value.is_structured(), ErrorKind::invalid,
          "{}: a function call must be JSON, not {}", where_, type_of(value));
    message_.fields["content"] = "";
    take_calls(value, fmt::format("{}: the function call", where_));
  }

  void take_calls(const Json& value, const std::string& what) {
    check(!message_.fields.contains("tool_calls"), ErrorKind::invalid,
          "{}: calls stand in two places; only one can be read", where_);
    Json calls = read_tool_calls(value, what);
    if (!calls.empty()) message_.fields["tool_calls"] = std::move(calls);
  }

  void take(const std::string& key, const Json& value) {
    if (key == "tool_calls" || key == "function_call") {
      if (is_filled(value)) take_calls(value, fmt::format("{}: \"{}\"", where_, key));
    } else if (key == "weight" || key == "training") {
      take_training(key, with_numbers(value));
    } else if (std::ranges::find(unread, key) == unread.end()) {
      message_.fields[key] = with_numbers(value);
    }
  }

  void take_training(const std::string& key, const Json& value) {
    const bool weight = key == "weight";
    check(weight ? value == 0 || value == 1 : value.is_boolean(), ErrorKind::invalid, "{}: \"{}\" must be {}",
          where_, key, weight ? "0 or 1" : "true or false");
    const bool trained = weight ? value == 1 : value.get<bool>();
    check(!weight || !trained || role_ == "assistant", ErrorKind::invalid,
          "{}: a \"weight\" of 1 is for assistant messages; \"training\": true trains on others", where_);
    check(!message_.trained || *message_.trained == trained, ErrorKind::invalid,
          "{}: \"weight\" and \"training\" contradict each other", where_);
    message_.trained = trained;
  }

  void check_complete() const {
    const Json& fields = message_.fields;
    const bool calls = fields.contains("tool_calls");
    check(!calls || role_ == "assistant", ErrorKind::invalid, "{}: only an assistant calls tools, not {}",
          where_, role_);
    if (fields.contains("content")) return;
    check(role_ == "assistant", ErrorKind::invalid, "{} has no \"content\" (or \"value\")", where_);
    check(!is_empty_answer(fields), ErrorKind::invalid, "{} has neither content nor tool calls", where_);
  }

  const Json& given_;
  const std::string& where_;
  const char* role_key_ = "role";
  std::string_view role_;
  ChatMessage message_;
};

}  // namespace

ChatMessage read_message(const Json& given, const std::string& where) {
  return MessageReader(given, where).read();
}

bool is_empty_answer(const Json& message) {
  const auto content = message.find("content");
  const bool silent = content == message.end() || is_empty_content(*content);
  const bool thinks = std::ranges::any_of(reasoning, [&](const char* key) {
    const auto found = message.find(key);
    return found != message.end() && is_filled(*found);
  });
  return silent && !thinks && !message.contains("tool_calls");
}

}  // namespace lowrank
