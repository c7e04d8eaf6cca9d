#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "infer/engine/engine.h"
#include "serve/http/exchange.h"

namespace lowrank::serve {

/// Counts of a histogram with fixed bounds, as Prometheus has them.
struct Histogram {
  static constexpr std::array<double, 12> bounds{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
  std::array<int64_t, bounds.size() + 1> counts{};  ///< the last: above all bounds
  double sum = 0;

  void add(double value);
};

/// What the server counts beside the engine. All functions may be called by several threads at once.
class ServerMetrics {
 public:
  /// `route`: the path of a known endpoint; others share one name.
  void record(const HttpRecord& record, std::string_view route);
  /// Seconds from a request's arrival to its first token, and to its last.
  void first_token(double seconds);
  void finished(double seconds);

  /// All as Prometheus' text format (version 0.0.4). `model`: its name.
  std::string text(const EngineStatistics& engine, const std::string& model, int64_t adapters,
                   int64_t connections) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, int64_t> requests_;  ///< by route and status
  Histogram first_token_, finished_;
};

}  // namespace lowrank::serve
