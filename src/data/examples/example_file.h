#pragma once

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/atomic_file.h"
#include "base/fingerprint.h"
#include "base/mmap_file.h"
#include "data/examples/example_store.h"

namespace lowrank {

/// Adds an example's tokens, labels and label.
void add_to(Fingerprint& all, const Example& example);

/// A file without a name, which vanishes with this object: what is appended to it takes no memory.
class SpillFile {
 public:
  /// In this folder. Errors: io.
  explicit SpillFile(const std::filesystem::path& folder);
  ~SpillFile();
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  /// Errors: io.
  void write(std::span<const std::byte> bytes);
  /// Passes everything on, a block at a time. Errors: io.
  void each_block(const std::function<void(std::span<const std::byte>)>& take);

 private:
  std::filesystem::path folder_;
  std::FILE* file_;
};

/// Writes the examples of a data set into one file, in constant memory. The file appears when it is complete:
/// tokens, marks, records and facts as in memory, then a footer with their sizes, a key and checksums.
class ExampleFileWriter {
 public:
  /// Errors: as AtomicFile and SpillFile.
  explicit ExampleFileWriter(const std::filesystem::path& path);

  /// Errors: io; as packed.
  void append(const Example& example);
  /// Whether writing failed: a full disk, say.
  bool failed() const { return failed_; }
  /// `key`: of 16 bytes, what the file is made of; `facts`: any text. Errors: io.
  void commit(std::string_view key, std::string_view facts);

 private:
  void write_record(const StoredExample& record);

  AtomicFile file_;
  SpillFile marks_, records_;
  Fingerprint contents_, checksum_;
  bool failed_ = false;
  int64_t tokens_written_ = 0, marks_written_ = 0, records_written_ = 0;
};

/// A file of examples, mapped.
class MappedExamples final : public ExampleStorage {
 public:
  /// Everything but tokens and marks is checked; these are when an example is read. Errors: as
  /// MmapFile::open; corrupt for a file that is not what the writer made with this key.
  static std::shared_ptr<const MappedExamples> open(const std::filesystem::path& path, std::string_view key,
                                                    int64_t vocabulary);

  ExampleArrays arrays() const override { return arrays_; }
  void forget_pages() const override { file_.forget_pages(); }
  /// Errors: corrupt for tokens or labels outside the vocabulary.
  void check_example(int64_t index) const override;
  std::string contents() const override { return contents_; }
  std::string_view facts() const { return facts_; }

 private:
  MappedExamples(MmapFile file, int64_t vocabulary) : file_(std::move(file)), vocabulary_(vocabulary) {}
  void read(std::string_view key);
  void check_records() const;

  MmapFile file_;
  int64_t vocabulary_;
  ExampleArrays arrays_;
  std::string_view facts_;
  std::string contents_;
};

}  // namespace lowrank
