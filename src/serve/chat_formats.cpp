#include "serve/chat_formats.h"

#include <filesystem>

#include <fmt/ranges.h>

#include "base/log.h"
#include "serve/api/refusal.h"
#include "serve/options.h"

namespace lowrank::serve {
namespace {

namespace fs = std::filesystem;

/// Whether an adapter's folder may hold a template or special tokens of its own.
bool may_have_template(const fs::path& folder) {
  std::error_code ignored;
  for (const char* name : {"chat_template.jinja", "tokenizer_config.json", "chat_template.json"}) {
    if (fs::exists(folder / name, ignored)) return true;
  }
  return false;
}

constexpr int64_t of_base = -1;

}  // namespace

ChatFormats::ChatFormats(std::string model, const Tokenizer& tokenizer, ChatOptions options)
    : model_(std::move(model)), tokenizer_(&tokenizer), options_(std::move(options)) {}

ChatFormats::Formats ChatFormats::formats_of(const ServedAdapter* adapter) {
  const bool own = adapter && may_have_template(adapter->path);
  const std::scoped_lock lock(mutex_);
  // Templates that show the date show today's.
  if (const std::string date = today(); date != date_) {
    formats_.clear();
    date_ = date;
  }
  Formats& formats = formats_[own ? adapter->id : of_base];
  if (!formats)
    formats =
        chat_format_on_demand(model_, own ? adapter->path.string() : std::string(), *tokenizer_, options_);
  return formats;
}

ChatPrompt ChatFormats::prompt(const ServedAdapter* adapter, const Conversation& conversation,
                               const std::function<void(std::string_view text)>& inspect) {
  try {
    const Formats formats = formats_of(adapter);
    const ChatFormat& format = formats(!conversation.tools.is_null());
    ChatNotes notes;
    ChatPrompt prompt{format.prompt(conversation, notes, inspect), format.end_tokens()};
    tell(notes);
    return prompt;
  } catch (const Refusal&) {
    throw;
  } catch (const Error& error) {
    std::string text = without_folder(error.what(), model_, served_name(model_));
    if (adapter) text = text_for_clients(*adapter, std::move(text));
    // The template's place is for the log alone.
    if (text != error.what()) warn("{}", error.what());
    throw Error(error.kind(), text);
  }
}

void ChatFormats::tell(const ChatNotes& notes) {
  const std::vector<std::string> warnings = notes.warnings();
  if (warnings.empty()) return;
  const std::scoped_lock lock(mutex_);
  // A client could otherwise fill the log.
  if (!std::exchange(told_, true)) warn("{} (this is said once)", fmt::join(warnings, "; "));
}

void ChatFormats::forget(const ServedAdapter& adapter) {
  const std::scoped_lock lock(mutex_);
  formats_.erase(adapter.id);
}

}  // namespace lowrank::serve
