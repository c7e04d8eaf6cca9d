#include "data/conversations/targets.h"

#include "base/error.h"

namespace lowrank {

TrainOn train_on_named(std::string_view name) {
  if (name == "assistant") return TrainOn::assistant;
  if (name == "last") return TrainOn::last;
  if (name == "all") return TrainOn::all;
  fail(ErrorKind::invalid, "`train_on` '{}' is not known; known are assistant, last and all", name);
}

std::vector<int64_t> target_messages(const ConversationRow& row, TrainOn train_on) {
  std::vector<int64_t> targets;
  const auto& messages = row.conversation.messages;
  for (int64_t i = 0; i < std::ssize(messages); ++i) {
    const bool answer = i >= row.first_target && messages[i].at("role") == "assistant";
    if (row.trained.at(i).value_or(train_on == TrainOn::all || answer)) targets.push_back(i);
  }
  if (train_on == TrainOn::last && targets.size() > 1) targets.erase(targets.begin(), targets.end() - 1);
  return targets;
}

Conversation before_answer(const ConversationRow& row) {
  Conversation asked = row.conversation;
  nlohmann::ordered_json& messages = asked.messages;
  int64_t kept = row.first_target > 0 ? row.first_target : std::ssize(messages);
  while (row.first_target == 0 && kept > 0 && messages[kept - 1].at("role") == "assistant") --kept;
  messages.erase(messages.begin() + kept, messages.end());
  return asked;
}

}  // namespace lowrank
