#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace lowrank {

/// Text that grows one token at a time and is checked for stop texts, which may span tokens.
class StoppableText {
 public:
  StoppableText(const Tokenizer& tokenizer, std::vector<std::string> stop)
      : decoder_(tokenizer), stop_(std::move(stop)) {}

  /// Adds a token; returns what may be shown now: whole characters, and nothing that may belong to a stop
  /// text.
  std::string add(int64_t id);
  /// Ends the text; returns what was held back.
  std::string finish();

  /// True once a stop text was found.
  bool stopped() const { return stopped_; }
  /// All of it, up to the first stop text.
  const std::string& text() const { return text_; }

 private:
  std::string release(bool last);
  size_t held_back() const;

  StreamDecoder decoder_;
  std::vector<std::string> stop_;
  std::string text_;
  size_t shown_ = 0;
  bool stopped_ = false;
};

}  // namespace lowrank
