#include "tokenizer/core/vocabulary.h"

#include <algorithm>

namespace lowrank {

Vocabulary::Vocabulary(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {
  ids_ = HashIndex(tokens_.size());
  for (int32_t id = 0; id < size(); ++id) {
    if (tokens_[id].empty()) continue;
    if (find(tokens_[id]) < 0) ids_.add(hash_of(tokens_[id]), id);
    longest_ = std::max(longest_, tokens_[id].size());
  }
}

}  // namespace lowrank
