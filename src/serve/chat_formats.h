#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/adapter_list.h"
#include "session/chat_options.h"

namespace lowrank::serve {

/// A conversation as the model reads it.
struct ChatPrompt {
  std::vector<int64_t> ids;
  std::vector<int64_t> end_tokens;  ///< that end the answer beside the tokenizer's own
};

/// The chat templates of a model and of its adapters, read when they are first needed. All functions may be
/// called by several threads at once.
class ChatFormats {
 public:
  /// `tokenizer` must outlive this value.
  ChatFormats(std::string model, const Tokenizer& tokenizer, ChatOptions options);

  /// The conversation through the adapter's own template, if it has one, or the model's. `adapter`: null for
  /// the base. What is noticed in it is logged once for each kind. Errors: as need_chat_format and
  /// ChatFormat::prompt, with names in place of the server's paths.
  ChatPrompt prompt(const ServedAdapter* adapter, const Conversation& conversation,
                    const std::function<void(std::string_view text)>& inspect = nullptr);

  /// Forgets the templates of an adapter that is gone.
  void forget(const ServedAdapter& adapter);

 private:
  using Formats = std::function<const ChatFormat&(bool has_tools)>;
  Formats formats_of(const ServedAdapter* adapter);
  void tell(const ChatNotes& notes);

  std::string model_;
  const Tokenizer* tokenizer_;
  ChatOptions options_;
  std::mutex mutex_;
  std::string date_;                    ///< of what follows
  std::map<int64_t, Formats> formats_;  ///< by adapter; -1: the base's
  bool told_ = false;
};

}  // namespace lowrank::serve
