#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/core/tokenizer_spec.h"

namespace lowrank {

/// Splits text by one regular expression (PCRE2, UTF-8).
class Splitter {
 public:
  using Piece = std::function<void(std::string_view)>;

  /// Space for one match and the remaining step budget, shared by the splitters of one text.
  class Scratch {
   public:
    /// `bytes`: length of the text.
    explicit Scratch(size_t bytes);

   private:
    friend class Splitter;
    struct Work;
    std::shared_ptr<Work> work_;
  };

  /// Errors: invalid for a pattern that does not compile, unsupported as from_oniguruma; `where` names the
  /// file.
  Splitter(const Split& split, const std::string& where);

  /// Calls `piece` for each non-empty piece, in order. `text` must be valid UTF-8. Errors: invalid if the
  /// matches take more steps than a text of this size is allowed.
  void split(std::string_view text, const Scratch& scratch, const Piece& piece) const;

  /// The text with every match replaced by `content`. Errors: as split.
  std::string replaced(std::string_view text, const Scratch& scratch, std::string_view content) const;

 private:
  struct Code;
  struct Range {
    size_t begin, end;
    bool match;
  };
  using Visit = std::function<void(const Range&)>;
  void each_range(std::string_view text, const Scratch& scratch, const Visit& visit) const;
  int match(std::string_view text, size_t at, uint32_t options, uint32_t limit, Scratch::Work& work) const;
  bool search(std::string_view text, size_t at, Scratch::Work& work) const;

  std::shared_ptr<const Code> code_;
  SplitBehavior behavior_;
  bool invert_;
};

}  // namespace lowrank
