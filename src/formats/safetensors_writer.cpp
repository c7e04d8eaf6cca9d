#include "formats/safetensors_writer.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace lowrank {

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(path), where_(path.string()) {
  nlohmann::ordered_json header;
  if (!metadata.empty()) header["__metadata__"] = metadata;
  for (const StoredTensor& tensor : tensors) {
    const auto count = element_count(tensor.shape);
    const int64_t bytes = count ? byte_count(tensor.dtype, *count).value_or(-1) : -1;
    const std::string_view type = info_of(tensor.dtype).safetensors;
    check(bytes >= 0 && !type.empty(), ErrorKind::invalid, "{}: tensor \"{}\" of type {} cannot be written",
          where_, tensor.name, info_of(tensor.dtype).name);
    check(!header.contains(tensor.name), ErrorKind::invalid, "{}: tensor \"{}\" twice", where_, tensor.name);
    header[tensor.name] = {
        {"dtype", type}, {"shape", tensor.shape}, {"data_offsets", {remaining_, remaining_ + bytes}}};
    remaining_ += bytes;
  }
  std::string text = header.is_null() ? "{}" : header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  file_.write(std::as_bytes(std::span(&length, 1)));
  file_.write(text);
}

void SafetensorsWriter::append(std::span<const std::byte> bytes) {
  remaining_ -= static_cast<int64_t>(bytes.size());
  check(remaining_ >= 0, ErrorKind::invalid, "{}: more bytes than the header declares", where_);
  file_.write(bytes);
}

void SafetensorsWriter::commit() {
  check(remaining_ == 0, ErrorKind::invalid, "{}: {} bytes short of what the header declares", where_,
        remaining_);
  file_.commit();
}

void write_safetensors(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  SafetensorsWriter writer(path, tensors, metadata);
  for (const StoredTensor& tensor : tensors) writer.append(tensor.bytes);
  writer.commit();
}

}  // namespace lowrank
