#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "report/run_page.h"
#include "session/training_data.h"

namespace lowrank {

/// Facts of a run that do not change while it goes on, as its page shows them. `configuration`: values of all
/// options by name; those that are empty are left out.
RunPage page_of_run(const std::string& title, const nlohmann::json& configuration, const TrainingData& data);

/// Keeps loss.svg and run.html in a run's folder up to date.
class RunOverview {
 public:
  RunOverview(std::filesystem::path folder, RunPage page, int64_t total_steps);

  /// From now on, shows these facts of the run.
  void set_page(RunPage page) { page_ = std::move(page); }
  /// Writes both from metrics.jsonl and samples.jsonl, unless that was done less than half a minute ago.
  /// Errors: io.
  void refresh();
  /// Writes both for the last time. Errors: io.
  void finish();
  /// The same for a run that ends before its last step; `how`: "interrupted". Without a step there is nothing
  /// to show. What cannot be written stays as it is.
  void stop(const std::string& how) noexcept;

 private:
  void write(const std::string& state, bool ended);

  std::filesystem::path folder_;
  RunPage page_;
  int64_t total_steps_;
  double due_;  ///< in monotonic_seconds()
};

}  // namespace lowrank
