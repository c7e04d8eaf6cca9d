#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace lowrank {

/// Collects the ids of a text: keeps the first `most` and counts them all, so that a long text takes no extra
/// memory if only its beginning is needed.
class TokenSink {
 public:
  explicit TokenSink(int64_t most = std::numeric_limits<int64_t>::max()) : most_(most) {}

  void push(int64_t id) {
    if (count_++ < most_) ids.push_back(id);
  }
  /// Number of ids so far, kept or not.
  int64_t count() const { return count_; }

  std::vector<int64_t> ids;  ///< the kept ones

 private:
  int64_t most_;
  int64_t count_ = 0;
};

}  // namespace lowrank
