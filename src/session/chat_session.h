#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "infer/generate.h"
#include "session/chat_options.h"
#include "session/session.h"

namespace lowrank {

/// A model as it answers in a conversation: plain, or with one adapter.
struct Speaker {
  std::string name;  ///< of the adapter; "base" for the plain model
  RunningModel running;
  int64_t adapter = no_adapter;  ///< its number in a bank
};

/// The speakers of a session, which must outlive them: the base, unless the only adapter changes its weights,
/// and each adapter. An adapter without a name is called by its path.
std::vector<Speaker> speakers_of(const OpenSession& session, const std::string& adapter);

/// An answer.
struct ChatReply {
  std::string text;
  bool ended = false;     ///< by the model rather than by `max_new_tokens` or the context
  int64_t forgotten = 0;  ///< messages that were left out because the context was full
  std::vector<int64_t> tokens;
};

/// A conversation with a model, turn by turn. What it is made from must outlive it.
class ChatSession {
 public:
  /// Errors: invalid without speakers.
  ChatSession(std::vector<Speaker> speakers, const Tokenizer& tokenizer, const ChatFormat& format,
              GenerationOptions options, Conversation start);

  /// The names of the speakers.
  std::vector<std::string> names() const;
  /// The name of the one that answers; at first the last of them.
  const std::string& name() const { return speakers_[speaker_].name; }
  /// Chooses who answers from now on. Errors: not_found, with the nearest name.
  void choose(const std::string& name);

  /// Sets the system message, or removes it (empty). The conversation goes on.
  void set_system(const std::string& text);
  /// Forgets all turns; the system message stays.
  void reset();

  /// Asks and returns the answer, which `on_text` gets piece by piece. If the context is full, the oldest
  /// turns are left out of what the model sees; `messages` keeps them. Errors: invalid for a question that
  /// does not fit alone; as generate. After an error the question is forgotten; after an interruption the
  /// part of the answer that was there stays.
  ChatReply ask(const std::string& question, const std::function<void(std::string_view)>& on_text = nullptr);

  /// All messages, from the system message to the last answer.
  const nlohmann::ordered_json& messages() const { return conversation_.messages; }
  /// The conversation as a row of training data: {"messages": [...]}. Answers that were cut off have
  /// "training": false, so that no model learns to stop where they do.
  nlohmann::ordered_json row() const;
  /// How many answers were cut off: by an interruption, `max_new_tokens` or the context.
  int64_t cut_answers() const { return std::ssize(cut_); }
  /// How many messages there are after the system message.
  int64_t turns() const { return std::ssize(messages()) - static_cast<int64_t>(first_turn()); }
  /// What was noticed since the last call.
  ChatNotes take_notes() { return std::exchange(notes_, {}); }

 private:
  std::vector<int64_t> fitting_prompt(int64_t& forgotten);
  size_t first_turn() const;
  Conversation shown() const;

  std::vector<Speaker> speakers_;
  const Tokenizer* tokenizer_;
  const ChatFormat* format_;
  GenerationOptions options_;
  Conversation conversation_;
  size_t speaker_ = 0;
  size_t forgotten_ = 0;  ///< messages after the system message that the model no longer sees
  std::set<size_t> cut_;  ///< answers that were cut off, counted from the first message after the system's
  ChatNotes notes_;
};

}  // namespace lowrank
