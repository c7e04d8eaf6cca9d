#include "tokenizer/jinja/values/text.h"

#include <algorithm>

#include "base/error.h"

namespace lowrank::jinja {
namespace {

bool continues(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

}  // namespace

void Text::room_for(size_t bytes) {
  check(bytes <= static_cast<size_t>(heap().limits().text_bytes) - bytes_.size(), ErrorKind::invalid,
        "a string longer than {} MiB, the limit of a render", heap().limits().text_bytes >> 20);
  heap().work_on(bytes);
}

void Text::add_run(size_t bytes, Mark mark) {
  if (bytes_.empty()) {
    runs_.clear();
    mark_ = mark;
    return;
  }
  if (runs_.empty()) {
    if (mark == mark_) return;
    runs_.push_back({static_cast<int64_t>(bytes_.size()), mark_});
  }
  if (runs_.back().mark == mark) {
    runs_.back().bytes += static_cast<int64_t>(bytes);
  } else {
    runs_.push_back({static_cast<int64_t>(bytes), mark});
  }
}

void Text::append(std::string_view bytes, Mark mark) {
  if (bytes.empty()) return;
  room_for(bytes.size());
  bytes_.reserve(bytes_.size() + bytes.size() > bytes_.capacity()
                     ? std::max(bytes_.size() + bytes.size(),
                                std::min(2 * bytes_.capacity(), bytes_.size() + (size_t{1} << 24)))
                     : bytes_.capacity());
  add_run(bytes.size(), mark);
  bytes_.append(bytes);
  length_ = -1;
}

void Text::append(const Text& other, size_t begin, size_t end) {
  other.each_run(begin, end, [&](size_t from, size_t to, Mark mark) {
    append(other.view().substr(from, to - from), mark);
  });
}

Text Text::slice(size_t begin, size_t end) const {
  Text part(heap());
  part.append(*this, begin, end);
  part.markup = markup;
  return part;
}

Mark Text::mark_at(size_t offset) const {
  if (runs_.empty()) return mark_;
  for (const Run& run : runs_) {
    if (offset < static_cast<size_t>(run.bytes)) return run.mark;
    offset -= static_cast<size_t>(run.bytes);
  }
  return runs_.back().mark;
}

void Text::set_generation(int32_t generation) {
  if (mark_.generation == 0) mark_.generation = generation;
  for (Run& run : runs_) {
    if (run.mark.generation == 0) run.mark.generation = generation;
  }
}

int64_t Text::length() const {
  if (length_ < 0) {
    heap().work_on(bytes_.size());
    length_ = std::count_if(bytes_.begin(), bytes_.end(), [](char byte) { return !continues(byte); });
    near_index_ = near_offset_ = 0;
  }
  return length_;
}

bool Text::ascii() const {
  return length() == static_cast<int64_t>(bytes_.size());
}

size_t Text::offset_of(int64_t index) const {
  if (ascii()) return static_cast<size_t>(index);
  if (index < near_index_ / 2) near_index_ = near_offset_ = 0;
  heap().work_on(static_cast<size_t>(std::abs(index - near_index_)));
  const auto size = static_cast<int64_t>(bytes_.size());
  while (near_index_ < index && near_offset_ < size) {
    do ++near_offset_;
    while (near_offset_ < size && continues(bytes_[static_cast<size_t>(near_offset_)]));
    ++near_index_;
  }
  while (near_index_ > index) {
    do --near_offset_;
    while (continues(bytes_[static_cast<size_t>(near_offset_)]));
    --near_index_;
  }
  return static_cast<size_t>(near_offset_);
}

}  // namespace lowrank::jinja
