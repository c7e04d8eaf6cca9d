#include "serve/http/limits.h"

namespace lowrank::serve {

std::vector<Field> HttpLimits::fields() {
  constexpr double longest = 24 * 3600;
  return {
      limited(field("max_connections", max_connections, "clients at a time; others are refused"), 1, 1 << 16),
      limited(field("max_body_mb", max_body_mb, "largest request in MB"), 1, 1024),
      limited(field("header_timeout", header_timeout, "seconds for a request's headers to arrive"), 1,
              longest),
      limited(field("body_timeout", body_timeout, "seconds for a request's body to arrive"), 1, longest),
      limited(field("idle_timeout", idle_timeout, "seconds until a connection without request is closed"), 1,
              longest),
      limited(field("write_timeout", write_timeout,
                    "seconds after which a client that reads nothing is dropped and its request ends"),
              1, longest)};
}

}  // namespace lowrank::serve
