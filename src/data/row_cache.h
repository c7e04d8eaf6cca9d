#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "data/dataset.h"

namespace lowrank {

/// The file in which a data set's examples are kept from one run to the next. Its name is a fingerprint of
/// everything that they depend on: names, sizes, times of the last change and samples of the contents of the
/// data files, the tokenizer, the chat formats, the options, and the version of the program.
class RowCache {
 public:
  /// Nothing if the options name no folder, if rows name adapters, or if the files are smaller than
  /// `cache_from_bytes` together. Errors: as data_files.
  static std::optional<RowCache> of(std::span<const std::string> patterns, const Tokenizer* tokenizer,
                                    int64_t vocabulary, const DatasetOptions& options);
  static std::optional<RowCache> of(const std::string& pattern, const Tokenizer* tokenizer,
                                    int64_t vocabulary, const DatasetOptions& options) {
    return of(std::span(&pattern, 1), tokenizer, vocabulary, options);
  }

  /// The data set of an earlier run; nothing if there is none. A damaged one is as none, with a warning.
  std::optional<Dataset> find() const;

  const std::filesystem::path& path() const { return path_; }
  const std::string& key() const { return key_; }

 private:
  RowCache(std::filesystem::path path, std::string key, int64_t vocabulary)
      : path_(std::move(path)), key_(std::move(key)), vocabulary_(vocabulary) {}

  std::filesystem::path path_;
  std::string key_;
  int64_t vocabulary_;
};

/// What a data set says beside its examples, as JSON, and back. Errors: corrupt.
std::string facts_of(const Dataset& dataset);
Dataset dataset_of_facts(std::string_view facts, const std::string& where);

}  // namespace lowrank
