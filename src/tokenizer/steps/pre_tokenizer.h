#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/core/tokenizer_spec.h"
#include "tokenizer/steps/splitter.h"

namespace lowrank {

/// Splits a normalised text into pieces, each of which the model encodes on its own.
class PreTokenizer {
 public:
  using Piece = std::function<void(std::string_view)>;

  /// Errors: as Splitter; `where` names the file.
  PreTokenizer(const std::vector<PreTokenizerStep>& steps, const std::string& where);

  /// Calls `piece` for each piece, in order. `first`: the text is the beginning of what is encoded;
  /// `continues`: it follows another text, so `Metaspace` puts nothing in front of it. One `scratch` serves
  /// all parts of a text and bounds the work on it. Errors: as Splitter.
  void split(std::string_view text, bool first, bool continues, const Splitter::Scratch& scratch,
             const Piece& piece) const;

 private:
  struct Step {
    PreTokenizerStep what;
    std::vector<Splitter> splitter;  ///< none or one
  };
  struct Call {
    bool first, continues;
    const Splitter::Scratch& scratch;
    const Piece& piece;
  };
  /// `begins`: the piece is the beginning of the text that is split.
  void run(size_t index, std::string_view text, bool begins, const Call& call) const;
  void run_metaspace(size_t index, const Metaspace& metaspace, std::string_view text, bool begins,
                     const Call& call) const;

  std::vector<Step> steps_;
};

}  // namespace lowrank
