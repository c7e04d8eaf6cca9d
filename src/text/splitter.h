#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_spec.h"

namespace lowrank {

/// Cuts text by one regular expression (PCRE2, UTF-8).
class Splitter {
 public:
  using Piece = std::function<void(std::string_view)>;

  /// Room for one match, shared by the splitters of one text.
  class Scratch {
   public:
    Scratch();

   private:
    friend class Splitter;
    std::shared_ptr<void> data_;
  };

  /// Errors: invalid for a pattern that does not compile, unsupported as from_oniguruma; `where` names the
  /// file.
  Splitter(const Split& split, const std::string& where);

  /// Calls `piece` for each non-empty piece, in order. `text` must be valid UTF-8. Errors: invalid when a
  /// match runs into PCRE2's limits.
  void split(std::string_view text, const Scratch& scratch, const Piece& piece) const;

 private:
  struct Code;
  struct Range {
    size_t begin, end;
    bool match;
  };
  using Visit = std::function<void(const Range&)>;
  void each_range(std::string_view text, const Scratch& scratch, const Visit& visit) const;

  std::shared_ptr<const Code> code_;
  SplitBehavior behavior_;
  bool invert_;
};

}  // namespace lowrank
