#pragma once

#include <nlohmann/json.hpp>

namespace lowrank {

/// What a chat template renders: the template's variables `messages`, `tools` and further ones by name, as
/// JSON whose keys keep their order. Integers beyond 64 bits are binary values that hold their digits, as
/// base/json.h gives them.
struct Conversation {
  nlohmann::ordered_json messages;                                  ///< an array of objects
  nlohmann::ordered_json tools = nullptr;                           ///< an array of schemas, or null
  nlohmann::ordered_json extra = nlohmann::ordered_json::object();  ///< further variables
};

}  // namespace lowrank
