#include "session/chat_session.h"

#include <algorithm>

#include "base/error.h"
#include "base/nearest_name.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* base_name = "base";

bool has_role(const Json& message, std::string_view role) {
  return message.value("role", "") == role;
}

/// The model without an adapter, if its weights are the base's own.
Speaker plain(const OpenSession& session) {
  RunningModel running = session.running();
  if (!session.bank) {
    running.hooks = InferenceHooks();
    running.room = session.checkpoint->spec().max_positions;
  }
  return {base_name, running};
}

}  // namespace

std::vector<Speaker> speakers_of(const OpenSession& session, const std::string& adapter) {
  std::vector<Speaker> speakers;
  const bool changes_base =
      session.adapter && (!session.adapter->plan.uses.empty() || session.adapter->labels);
  if (!changes_base) speakers.push_back(plain(session));
  if (session.adapter) speakers.push_back({adapter, session.running()});
  for (int64_t number = 0; session.bank && number < session.bank->size(); ++number)
    speakers.push_back({session.bank->name(number), session.running(), number});
  return speakers;
}

ChatSession::ChatSession(std::vector<Speaker> speakers, const Tokenizer& tokenizer, const ChatFormat& format,
                         GenerationOptions options, Conversation start)
    : speakers_(std::move(speakers)),
      tokenizer_(&tokenizer),
      format_(&format),
      options_(std::move(options)),
      conversation_(std::move(start)) {
  check(!speakers_.empty(), ErrorKind::invalid, "a conversation needs a model that answers");
  speaker_ = speakers_.size() - 1;
  const std::vector<int64_t>& ends = format.end_tokens();
  options_.end_tokens.insert(options_.end_tokens.end(), ends.begin(), ends.end());
}

std::vector<std::string> ChatSession::names() const {
  std::vector<std::string> names;
  for (const Speaker& speaker : speakers_) names.push_back(speaker.name);
  return names;
}

void ChatSession::choose(const std::string& name) {
  const auto found = std::ranges::find(speakers_, name, &Speaker::name);
  if (found == speakers_.end()) {
    const auto near = nearest_name(name, names());
    fail(ErrorKind::not_found, "no adapter is called {}{}", in_quotes(name),
         near ? fmt::format(" (did you mean {}?)", *near) : "");
  }
  speaker_ = static_cast<size_t>(found - speakers_.begin());
}

size_t ChatSession::first_turn() const {
  const Json& all = conversation_.messages;
  return !all.empty() && has_role(all.front(), "system") ? 1 : 0;
}

void ChatSession::set_system(const std::string& text) {
  Json& all = conversation_.messages;
  if (first_turn() == 1) all.erase(all.begin());
  if (!text.empty()) all.insert(all.begin(), Json{{"role", "system"}, {"content", text}});
}

void ChatSession::reset() {
  Json& all = conversation_.messages;
  all.erase(all.begin() + static_cast<int64_t>(first_turn()), all.end());
  forgotten_ = 0;
  cut_.clear();
}

nlohmann::ordered_json ChatSession::row() const {
  Json messages = conversation_.messages;
  for (const size_t turn : cut_) messages[first_turn() + turn]["training"] = false;
  return {{"messages", std::move(messages)}};
}

Conversation ChatSession::shown() const {
  Conversation shown = conversation_;
  const auto begin = shown.messages.begin() + static_cast<int64_t>(first_turn());
  shown.messages.erase(begin, begin + static_cast<int64_t>(forgotten_));
  return shown;
}

/// The ids of the conversation, without its oldest turns if they leave no room for an answer.
std::vector<int64_t> ChatSession::fitting_prompt(int64_t& forgotten) {
  constexpr int64_t share_of_answer = 4;
  const int64_t room = speakers_[speaker_].running.room;
  const int64_t answer =
      std::clamp(options_.max_new_tokens, int64_t{1}, std::max(int64_t{1}, room / share_of_answer));
  const Json& all = conversation_.messages;
  while (true) {
    ChatNotes notes;
    std::vector<int64_t> ids = format_->prompt(shown(), notes);
    const size_t oldest = first_turn() + forgotten_;
    size_t next = oldest + 1;
    while (next < all.size() && !has_role(all[next], "user")) ++next;
    const bool alone = next >= all.size();
    if (std::ssize(ids) + answer <= room || (alone && std::ssize(ids) < room)) {
      notes_ = notes;
      return ids;
    }
    check(!alone, ErrorKind::invalid, "the {} {} tokens with the template, the model's context {}",
          first_turn() == 1 ? "system text and the question have" : "question has", ids.size(), room);
    forgotten += static_cast<int64_t>(next - oldest);
    forgotten_ += next - oldest;
  }
}

ChatReply ChatSession::ask(const std::string& question,
                           const std::function<void(std::string_view)>& on_text) {
  Json& all = conversation_.messages;
  const size_t before = all.size(), forgotten_before = forgotten_;
  all.push_back({{"role", "user"}, {"content", question}});
  ChatReply reply;
  const auto answered = [&] {
    if (!reply.ended) cut_.insert(all.size() - first_turn());
    all.push_back({{"role", "assistant"}, {"content", reply.text}});
  };
  const auto forget_question = [&] {
    all.erase(all.begin() + static_cast<int64_t>(before), all.end());
    forgotten_ = forgotten_before;
  };
  try {
    const std::vector<std::vector<int64_t>> prompts{fitting_prompt(reply.forgotten)};
    const Speaker& speaker = speakers_[speaker_];
    GenerationOptions options = options_;
    options.sampling.seed += static_cast<int64_t>(before);  // other random choices in each turn
    if (speaker.running.adapter_number) options.adapters = {speaker.adapter};
    const TextSink sink = [&](int64_t, const std::string& piece) {
      reply.text += piece;
      if (on_text) on_text(piece);
    };
    const auto made =
        generate(speaker.running.model, speaker.running.hooks, *tokenizer_, prompts, options, sink);
    reply.ended = made.front().ended;
    reply.tokens = made.front().tokens;
  } catch (const Error& error) {
    error.kind() == ErrorKind::interrupted && !reply.text.empty() ? answered() : forget_question();
    throw;
  } catch (...) {
    forget_question();
    throw;
  }
  answered();
  return reply;
}

}  // namespace lowrank
