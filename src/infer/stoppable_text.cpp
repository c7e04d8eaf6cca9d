#include "infer/stoppable_text.h"

#include <algorithm>
#include <string_view>

namespace lowrank {

std::string StoppableText::add(int64_t id) {
  text_ += decoder_.next(id);
  return release(false);
}

std::string StoppableText::finish() {
  if (!stopped_) text_ += decoder_.finish();
  return release(true);
}

std::string StoppableText::release(bool last) {
  for (const std::string& stop : stop_) {
    // No stop text begins within what was shown.
    const size_t found = stop.empty() ? std::string::npos : text_.find(stop, std::min(shown_, text_.size()));
    if (found == std::string::npos) continue;
    text_.resize(found);
    stopped_ = true;
  }
  size_t end = text_.size();
  if (!last && !stopped_) end -= held_back();
  if (end <= shown_) return {};
  std::string piece = text_.substr(shown_, end - shown_);
  shown_ = end;
  return piece;
}

/// Number of bytes at the end that may be the beginning of a stop text.
size_t StoppableText::held_back() const {
  size_t most = 0;
  for (const std::string& stop : stop_) {
    for (size_t length = std::min(stop.size(), text_.size()); length > most; --length) {
      if (std::string_view(text_).ends_with(std::string_view(stop).substr(0, length))) most = length;
    }
  }
  return most;
}

}  // namespace lowrank
