#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace lowrank {

/// Takes the ids of a text: keeps the first `most` and counts them all, so that a long text of which only the
/// beginning is wanted takes no more memory.
class TokenSink {
 public:
  explicit TokenSink(int64_t most = std::numeric_limits<int64_t>::max()) : most_(most) {}

  void push(int64_t id) {
    if (count_++ < most_) ids.push_back(id);
  }
  /// All ids so far, kept or not.
  int64_t count() const { return count_; }

  std::vector<int64_t> ids;  ///< the kept ones

 private:
  int64_t most_;
  int64_t count_ = 0;
};

}  // namespace lowrank
