#include "data/examples/example.h"

#include <algorithm>

namespace lowrank {

int64_t Example::targets() const {
  if (label) return 1;
  if (labels.empty()) return 0;
  return std::count_if(labels.begin() + 1, labels.end(), [](int64_t label) { return label != no_target; });
}

}  // namespace lowrank
