#pragma once

#include <nlohmann/json.hpp>

namespace lowrank {

/// A chat as a template receives it. Values keep their order and their numbers' digits: they come from
/// parse_ordered_json.
struct Conversation {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();  ///< objects with `role`, `content`, …
  nlohmann::ordered_json tools = nullptr;                             ///< JSON schemas, or null
  nlohmann::ordered_json documents = nullptr;                         ///< for retrieval, or null
  nlohmann::ordered_json extra = nlohmann::ordered_json::object();    ///< `chat_template_kwargs`
};

}  // namespace lowrank
