#include "metrics/words.h"

#include "base/text/characters.h"

namespace lowrank::metrics {

Words Words::of(std::string_view text) {
  Words words;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t character = at;
    if (!is_space(next_character(text, at))) continue;
    if (character > begin) words.add(text.substr(begin, character - begin));
    begin = at;
  }
  if (begin < text.size()) words.add(text.substr(begin));
  return words;
}

Words Words::at_each_space(std::string_view text) {
  Words words;
  size_t begin = 0;
  for (size_t end = text.find(' '); end != std::string_view::npos; end = text.find(' ', begin)) {
    words.add(text.substr(begin, end - begin));
    begin = end + 1;
  }
  words.add(text.substr(begin));
  return words;
}

void Words::add(std::string_view word) {
  if (!begins_.empty()) text_ += ' ';
  begins_.push_back(text_.size());
  text_ += word;
}

std::string_view Words::run(size_t first, size_t count) const {
  const size_t behind = first + count;
  const size_t end = behind < begins_.size() ? begins_[behind] - 1 : text_.size();
  return std::string_view(text_).substr(begins_[first], end - begins_[first]);
}

}  // namespace lowrank::metrics
