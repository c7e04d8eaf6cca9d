#include "tokenizer/steps/pre_tokenizer.h"

#include <optional>

#include "tokenizer/steps/bert_text.h"
#include "tokenizer/steps/normalizer.h"
#include "tokenizer/steps/oniguruma.h"

namespace lowrank {
namespace {

/// The split that a step makes, if any.
std::optional<Split> split_of(const PreTokenizerStep& step) {
  if (const auto* split = std::get_if<Split>(&step)) return *split;
  if (const auto* bytes = std::get_if<ByteLevel>(&step); bytes && bytes->use_regex)
    return Split{gpt2_pattern()};
  if (const auto* metaspace = std::get_if<Metaspace>(&step); metaspace && metaspace->split)
    return Split{literal_pattern(metaspace->replacement), SplitBehavior::merged_with_next};
  return std::nullopt;
}

}  // namespace

PreTokenizer::PreTokenizer(const std::vector<PreTokenizerStep>& steps, const std::string& where) {
  for (const PreTokenizerStep& step : steps) {
    steps_.push_back({step, {}});
    if (const auto split = split_of(step)) steps_.back().splitter.emplace_back(*split, where);
  }
}

void PreTokenizer::split(std::string_view text, bool first, bool continues, const Splitter::Scratch& scratch,
                         const Piece& piece) const {
  run(0, text, true, {first, continues, scratch, piece});
}

void PreTokenizer::run(size_t index, std::string_view text, bool begins, const Call& call) const {
  if (text.empty()) return;
  if (index == steps_.size()) return call.piece(text);
  const Step& step = steps_[index];
  const auto next = [&](std::string_view piece) {
    run(index + 1, piece, begins && piece.data() == text.data(), call);
  };
  if (std::holds_alternative<BertPreTokenizer>(step.what)) return bert_split(text, next);
  if (const auto* metaspace = std::get_if<Metaspace>(&step.what))
    return run_metaspace(index, *metaspace, text, begins, call);
  const auto* bytes = std::get_if<ByteLevel>(&step.what);
  const bool prefix = bytes && bytes->add_prefix_space && !text.starts_with(' ');
  const std::string spaced = prefix ? " " + std::string(text) : std::string();
  if (prefix) text = spaced;
  if (step.splitter.empty()) return next(text);
  step.splitter.front().split(text, call.scratch, next);
}

void PreTokenizer::run_metaspace(size_t index, const Metaspace& metaspace, std::string_view text, bool begins,
                                 const Call& call) const {
  std::string marked = replaced(text, {" ", metaspace.replacement});
  const bool wanted = metaspace.prepend_scheme == PrependScheme::always ||
                      (metaspace.prepend_scheme == PrependScheme::first && call.first && begins);
  const bool joins = call.continues && begins;  // what follows another text without a space
  if (wanted && !joins && !marked.starts_with(metaspace.replacement)) marked.insert(0, metaspace.replacement);
  const auto next = [&](std::string_view piece) {
    run(index + 1, piece, begins && piece.data() == marked.data(), call);
  };
  if (steps_[index].splitter.empty()) return next(marked);
  steps_[index].splitter.front().split(marked, call.scratch, next);
}

}  // namespace lowrank
