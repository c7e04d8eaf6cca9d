#include "base/version.h"

namespace lowrank {

std::string_view program_version() {
  return LOWRANK_VERSION;
}

}  // namespace lowrank
