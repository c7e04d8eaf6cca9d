#include "tokenizer/models/unigram.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/error.h"

namespace lowrank {
namespace {

/// What an unknown character costs beside the least likely token.
constexpr double unknown_penalty = 10;
/// Bytes of text between two attempts to settle what lies behind.
constexpr size_t block = 64 << 10;

size_t character_bytes(char first) {
  const auto byte = static_cast<uint8_t>(first);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

}  // namespace

/// Viterbi's search for the best division of one piece of text. The tokens up to a position are settled, and
/// given out, as soon as every division that can still be the best one has a boundary there.
class Unigram::Search {
 public:
  Search(const Unigram& model, std::string_view text, TokenSink& ids)
      : model_(model), text_(text), ids_(ids), reach_(std::min(model.pieces_.longest(), text.size())) {
    reach_ = std::max<size_t>(reach_, 4);  // an unknown character
    scores_.resize(reach_ + 1);
  }

  void run() {
    for (size_t at = 0; at < text_.size();) {
      if (at - settled_ >= next_attempt_) settle(at);
      ends_.resize(std::min(at + reach_, text_.size()) - settled_ + 1);
      const size_t character = std::min(character_bytes(text_[at]), text_.size() - at);
      const double score = at == 0 ? 0 : scores_[at % scores_.size()];
      bool known = false;
      model_.pieces_.each_prefix(text_.substr(at, reach_), [&](size_t length, int32_t id) {
        offer(at + length, length, id, score + model_.log_probabilities_[id]);
        known |= length == character;
      });
      if (!known) offer(at + character, character, model_.unknown_, score + model_.unknown_log_probability_);
      at += character;
    }
    give(text_.size());
    end_unknown(text_.size());
  }

 private:
  /// The last token of the best division that ends at a position.
  struct End {
    uint32_t length = 0;  ///< 0: no division ends here
    int32_t id = -1;
  };

  void offer(size_t end, size_t length, int32_t id, double score) {
    End& known = ends_[end - settled_];
    double& best = scores_[end % scores_.size()];
    if (known.length > 0 && score <= best) return;
    known = {static_cast<uint32_t>(length), id};
    best = score;
  }

  size_t before(size_t end) const { return end - ends_[end - settled_].length; }

  /// Gives out what all divisions that go on from `at` or beyond have in common.
  void settle(size_t at) {
    std::set<size_t> open{at};
    for (size_t end = at; end < settled_ + ends_.size(); ++end) {
      if (ends_[end - settled_].length > 0) open.insert(end);
    }
    while (open.size() > 1) {
      const size_t last = *open.rbegin();
      open.erase(last);
      open.insert(before(last));
    }
    give(*open.begin());
    next_attempt_ = std::max(block, 2 * (at - settled_));
  }

  /// Gives out the tokens of the best division that ends at `end`.
  void give(size_t end) {
    std::vector<size_t> boundaries;
    for (size_t at = end; at > settled_; at = before(at)) boundaries.push_back(at);
    for (auto at = boundaries.rbegin(); at != boundaries.rend(); ++at) {
      const End& token = ends_[*at - settled_];
      const size_t begin = *at - token.length;
      if (token.id == model_.unknown_) {
        if (!unknown_from_) unknown_from_ = begin;
      } else {
        end_unknown(begin);
        ids_.push(token.id);
      }
    }
    ends_.erase(ends_.begin(), ends_.begin() + static_cast<std::ptrdiff_t>(end - settled_));
    settled_ = end;
  }

  void end_unknown(size_t end) {
    if (unknown_from_) model_.push_unknown(text_.substr(*unknown_from_, end - *unknown_from_), ids_);
    unknown_from_.reset();
  }

  const Unigram& model_;
  std::string_view text_;
  TokenSink& ids_;
  size_t reach_;                ///< bytes of the longest token here
  std::vector<double> scores_;  ///< of the best division up to a position, at the position modulo the size
  std::vector<End> ends_;       ///< by position from `settled_` on
  size_t settled_ = 0;
  size_t next_attempt_ = block;
  std::optional<size_t> unknown_from_;  ///< where unknown text begins that is not given out yet
};

Unigram::Unigram(const TokenizerSpec& spec, const std::string& where)
    : pieces_(spec.vocabulary),
      log_probabilities_(spec.log_probabilities),
      unknown_(static_cast<int32_t>(spec.unknown.value_or(-1))),
      byte_fallback_(spec.byte_fallback) {
  check(log_probabilities_.size() == spec.vocabulary.size() && !log_probabilities_.empty(),
        ErrorKind::invalid, "{}: a Unigram tokenizer needs a log-probability for each of its {} tokens",
        where, spec.vocabulary.size());
  unknown_log_probability_ = *std::ranges::min_element(log_probabilities_) - unknown_penalty;
  for (int byte = 0; byte < 256; ++byte) {
    bytes_[byte] = pieces_.find(fmt::format("<0x{:02X}>", byte));
  }
}

void Unigram::push_unknown(std::string_view text, TokenSink& ids) const {
  const int32_t whole = pieces_.find(text);
  if (whole >= 0) return ids.push(whole);
  const auto token = [&](char c) { return bytes_[static_cast<uint8_t>(c)]; };
  if (byte_fallback_ && std::ranges::all_of(text, [&](char c) { return token(c) >= 0; })) {
    for (const char c : text) ids.push(token(c));
    return;
  }
  check(unknown_ >= 0, ErrorKind::invalid,
        "the text has characters without a token, and the tokenizer has no unknown token (unk_id)");
  ids.push(unknown_);
}

void Unigram::encode(std::string_view piece, TokenSink& ids) const {
  Search(*this, piece, ids).run();
}

}  // namespace lowrank
