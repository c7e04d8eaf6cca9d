#pragma once

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "formats/block_formats.h"
#include "formats/tensor_file.h"
#include "support/temporary_folder.h"

namespace lowrank::fuzz {

/// The folder that holds a fuzzer's files, one for the whole process.
inline const test::TemporaryFolder& folder() {
  static const test::TemporaryFolder made;
  return made;
}

/// The same, with a folder below it.
inline std::filesystem::path folder(const std::string& name) {
  std::filesystem::path path = folder().path() / name;
  std::filesystem::create_directory(path);
  return path;
}

/// Runs `read`; an Error is a valid outcome.
template <typename F>
void answers(F&& read) {
  try {
    read();
  } catch (const Error&) {  // NOLINT(bugprone-empty-catch)
  }
}

/// The files in one input, each preceded by a length of four bytes; the last takes the rest.
inline std::vector<std::string> unpack(std::string_view input, size_t count) {
  std::vector<std::string> files(count);
  for (size_t i = 0; i < count; ++i) {
    uint32_t length = 0;
    if (input.size() < sizeof length) break;
    std::memcpy(&length, input.data(), sizeof length);
    input.remove_prefix(sizeof length);
    const size_t size = i + 1 == count ? input.size() : std::min<size_t>(length, input.size());
    files[i] = input.substr(0, size);
    input.remove_prefix(size);
  }
  return files;
}

/// The reverse.
inline std::string pack(const std::vector<std::string>& files) {
  std::string input;
  for (const std::string& file : files) {
    const auto length = static_cast<uint32_t>(file.size());
    input.append(reinterpret_cast<const char*>(&length), sizeof length).append(file);
  }
  return input;
}

/// Writes the files into a folder; an empty one is absent.
inline void write_files(const std::string& below, const std::vector<std::string>& names,
                        const std::vector<std::string>& files) {
  const std::filesystem::path path = folder(below);
  for (size_t i = 0; i < names.size(); ++i) {
    if (files[i].empty()) {
      std::filesystem::remove(path / names[i]);
    } else {
      folder().write(below + "/" + names[i], files[i]);
    }
  }
}

/// Reads every byte of the tensors.
inline void touch(const std::vector<StoredTensor>& tensors) {
  volatile unsigned char sum = 0;
  for (const StoredTensor& tensor : tensors) {
    for (const std::byte byte : tensor.bytes) sum = sum ^ static_cast<unsigned char>(byte);
  }
}

/// Expands the values of those that are small.
inline void expand_all(const std::vector<StoredTensor>& tensors) {
  for (const StoredTensor& tensor : tensors) {
    const int64_t count = element_count(tensor.shape).value_or(0);
    if (count == 0 || count > 200'000 || !can_expand(tensor.dtype)) continue;
    std::vector<float> values(count);
    expand(tensor.dtype, tensor.bytes, values);
  }
}

}  // namespace lowrank::fuzz
