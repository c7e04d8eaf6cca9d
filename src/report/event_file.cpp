#include "report/event_file.h"

#include <array>
#include <bit>
#include <chrono>

#include "base/error.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view name_start = "events.out.tfevents.";

/// Protobuf's wire types.
enum Wire : uint32_t { varint = 0, eight_bytes = 1, counted = 2, four_bytes = 5 };

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value & 1 ? value >> 1 ^ 0x82F63B78U : value >> 1;
    table[i] = value;
  }
  return table;
}

/// CRC-32C (Castagnoli), rotated and offset as TFRecord does, since a checksum of checksums is weak.
uint32_t masked_crc(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> table = crc_table();
  uint32_t crc = ~0U;
  for (const char byte : bytes) crc = table[(crc ^ static_cast<unsigned char>(byte)) & 0xFF] ^ crc >> 8;
  return std::rotr(~crc, 15) + 0xA282EAD8U;
}

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

/// The lowest byte first, whatever the machine's order.
template <class T>
void put_fixed(std::string& out, T value) {
  for (size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

void put_key(std::string& out, uint32_t number, Wire wire) {
  put_varint(out, number << 3 | wire);
}

void put_text(std::string& out, uint32_t number, std::string_view text) {
  put_key(out, number, counted);
  put_varint(out, text.size());
  out += text;
}

/// wall_time and step; protobuf leaves out values that are 0.
std::string event_start(double time, int64_t step) {
  std::string event;
  if (time != 0) {
    put_key(event, 1, eight_bytes);
    put_fixed(event, std::bit_cast<uint64_t>(time));
  }
  if (step != 0) {
    put_key(event, 2, varint);
    put_varint(event, static_cast<uint64_t>(step));
  }
  return event;
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// A name after all earlier ones: files are read in the order of their names.
fs::path new_path(const fs::path& folder) {
  const auto seconds = static_cast<int64_t>(seconds_now());
  for (int number = 0;; ++number) {
    fs::path path = folder / fmt::format("{}{:010}.lowrank.{}", name_start, seconds, number);
    if (!fs::exists(path)) return path;
  }
}

}  // namespace

std::string version_event(double time) {
  std::string event = event_start(time, 0);
  put_text(event, 3, "brain.Event:2");
  return event;
}

std::string restart_event(double time, int64_t step) {
  std::string log;
  put_key(log, 1, varint);
  put_varint(log, 1);  // SessionLog.START
  std::string event = event_start(time, step);
  put_text(event, 7, log);
  return event;
}

std::string scalar_event(double time, int64_t step, std::span<const EventScalar> values) {
  std::string summary;
  for (const EventScalar& scalar : values) {
    std::string value;
    put_text(value, 1, scalar.tag);
    put_key(value, 2, four_bytes);
    put_fixed(value, std::bit_cast<uint32_t>(scalar.value));
    put_text(summary, 1, value);
  }
  std::string event = event_start(time, step);
  put_text(event, 5, summary);
  return event;
}

std::string event_record(std::string_view payload) {
  std::string record;
  put_fixed(record, static_cast<uint64_t>(payload.size()));
  put_fixed(record, masked_crc(record));
  record += payload;
  put_fixed(record, masked_crc(payload));
  return record;
}

bool is_event_file(const fs::path& name) {
  return name.string().starts_with(name_start);
}

EventFile::EventFile(const fs::path& folder, int64_t first_step) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  check(!failed, ErrorKind::io, "{}: cannot create: {}", folder.string(), failed.message());
  path_ = new_path(folder);
  file_.open(path_, std::ios::binary);
  const double time = seconds_now();
  append(version_event(time));
  if (first_step > 0) append(restart_event(time, first_step));
}

void EventFile::write(int64_t step, std::span<const EventScalar> values) {
  append(scalar_event(seconds_now(), step, values));
}

void EventFile::append(const std::string& payload) {
  file_ << event_record(payload) << std::flush;
  check(file_.good(), ErrorKind::io, "{}: cannot write (is the disk full?)", path_.string());
}

}  // namespace lowrank
