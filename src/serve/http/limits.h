#pragma once

#include <cstdint>
#include <vector>

#include "base/fields.h"

namespace lowrank::serve {

/// What one client may take of the server. Times are in seconds.
struct HttpLimits {
  int64_t max_connections = 256;
  int64_t header_bytes = 16 << 10;  ///< of a request's line and headers together
  int64_t max_body_mb = 16;         ///< of a request
  int64_t backlog_bytes = 4 << 20;  ///< of an answer that the client has not read yet
  int64_t header_timeout = 10;      ///< until a request's headers are complete
  int64_t body_timeout = 60;        ///< until its body is
  int64_t idle_timeout = 60;        ///< between two requests of a connection
  int64_t write_timeout = 30;       ///< for a client that stops reading

  /// Those that are options of the program, as fields that point into this value.
  std::vector<Field> fields();
};

}  // namespace lowrank::serve
