#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// TensorBoard's event files: records (length, payload, checksums) whose payloads are protobuf messages of
// type tensorboard.Event (tensorboard/compat/proto/event.proto and summary.proto).
namespace lowrank {

/// A value of a curve; `tag` is the curve's name in TensorBoard.
struct EventScalar {
  std::string tag;
  float value = 0;
};

/// Payload of the record that every event file begins with. `time`: seconds since 1970.
std::string version_event(double time);

/// Payload that tells TensorBoard to forget what earlier files say of `step` and later steps.
std::string restart_event(double time, int64_t step);

/// Payload with the values of one step.
std::string scalar_event(double time, int64_t step, std::span<const EventScalar> values);

/// A payload as a record: length (64 bits), its masked CRC-32C, payload, its masked CRC-32C.
std::string event_record(std::string_view payload);

/// True for names of event files: `events.out.tfevents.…`.
bool is_event_file(const std::filesystem::path& name);

/// An event file that grows while a run goes on. A file that ends within a record, as after a crash, is read
/// up to that record.
class EventFile {
 public:
  /// Creates `folder` if it is missing and a new file events.out.tfevents.SECONDS.lowrank.N in it.
  /// `first_step`: what earlier files in the folder say of it and of later steps no longer holds; 0: there
  /// is nothing to forget. Errors: io.
  EventFile(const std::filesystem::path& folder, int64_t first_step);

  /// Appends the values of a step, under the current time, and hands them to the system. Errors: io.
  void write(int64_t step, std::span<const EventScalar> values);

 private:
  void append(const std::string& payload);

  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace lowrank
