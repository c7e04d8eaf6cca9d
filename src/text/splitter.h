#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank {

/// Cuts text into pieces by regular expressions applied in turn (PCRE2, UTF-8): the matches of each pattern
/// and the gaps between them are the pieces that the next one cuts.
class Splitter {
 public:
  /// Errors: invalid for a pattern that does not compile; `where` names the file.
  Splitter(const std::vector<std::string>& patterns, const std::string& where);

  /// Calls `piece` for each non-empty piece, in order. `text` must be valid UTF-8. Errors: invalid when a
  /// match runs into PCRE2's limits.
  void split(std::string_view text, const std::function<void(std::string_view)>& piece) const;

 private:
  struct Pattern;
  struct Match;
  void split_by(size_t index, std::string_view text, std::span<Match> matches,
                const std::function<void(std::string_view)>& piece) const;

  std::vector<std::shared_ptr<const Pattern>> patterns_;
};

}  // namespace lowrank
