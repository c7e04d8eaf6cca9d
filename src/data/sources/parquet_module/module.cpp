#include <algorithm>
#include <arrow/buffer.h>
#include <arrow/io/memory.h>
#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <cstring>
#include <exception>
#include <memory>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>
#include <parquet/properties.h>
#include <string>
#include <vector>

#include "data/sources/parquet_interface.h"
#include "data/sources/parquet_module/json_rows.h"

namespace {

constexpr int64_t most_memory = int64_t{1} << 30;
constexpr size_t most_row_bytes = 64 << 20;
constexpr int64_t batch_rows = 256;

/// What an exception or a status of Arrow says, on one line.
std::string first_line(const std::string& message) {
  return message.substr(0, message.find('\n'));
}

void check_status(const arrow::Status& status) {
  if (status.ok()) return;
  throw std::runtime_error(status.IsOutOfMemory() ? "its pages take more than 1 GB of memory"
                                                  : status.message());
}

}  // namespace

struct LowrankParquetReader {
  bool open(const void* bytes, size_t size) {
    return attempt([&] {
      parquet::ReaderProperties properties(&pool_);
      properties.set_page_checksum_verification(true);
      parquet::ArrowReaderProperties arrow_properties(/*use_threads=*/false);
      // Whole row groups in memory otherwise.
      arrow_properties.set_pre_buffer(false);
      arrow_properties.set_batch_size(batch_rows);
      parquet::arrow::FileReaderBuilder builder;
      const auto buffer = std::make_shared<arrow::Buffer>(static_cast<const uint8_t*>(bytes), size);
      check_status(builder.Open(std::make_shared<arrow::io::BufferReader>(buffer), properties));
      check_status(builder.memory_pool(&pool_)->properties(arrow_properties)->Build(&file_));
      check_columns();
      auto batches = file_->GetRecordBatchReader();
      check_status(batches.status());
      batches_ = std::move(*batches);
    });
  }

  int64_t read(char* into, size_t size) {
    size_t filled = 0;
    const bool sound = attempt([&] {
      while (filled < size && (at_ < text_.size() || write_rows())) {
        const size_t count = std::min(size - filled, text_.size() - at_);
        std::memcpy(into + filled, text_.data() + at_, count);
        at_ += count;
        filled += count;
      }
    });
    return sound ? static_cast<int64_t>(filled) : -1;
  }

  const std::string& message() const { return message_; }
  LowrankParquetProblem problem() const { return problem_; }

 private:
  template <class Action>
  bool attempt(const Action& action) {
    try {
      if (message_.empty()) action();
    } catch (const std::exception& error) {
      message_ = first_line(error.what());
      if (problem_ == lowrank_parquet_corrupt) message_ = "the Parquet table cannot be read: " + message_;
    }
    return message_.empty();
  }

  void check_columns() {
    std::shared_ptr<arrow::Schema> schema;
    check_status(file_->GetSchema(&schema));
    std::string names;
    for (const std::string& name : lowrank::impossible_columns(*schema))
      names += (names.empty() ? "" : ", ") + name;
    if (names.empty()) return;
    problem_ = lowrank_parquet_unsupported;
    throw std::runtime_error("rows cannot have columns of these types: " + names +
                             "; write the Parquet table without them");
  }

  /// Makes the next rows `text_`; false at the end of the table.
  bool write_rows() {
    constexpr size_t enough = 1 << 16;
    text_.clear();
    at_ = 0;
    while (text_.size() < enough) {
      if (!batch_ || row_ == batch_->num_rows()) {
        batch_.reset();
        check_status(batches_->ReadNext(&batch_));
        row_ = 0;
        if (!batch_) break;
      } else {
        lowrank::append_row(*batch_, row_++, most_row_bytes, text_);
      }
    }
    return !text_.empty();
  }

  arrow::CappedMemoryPool pool_{arrow::system_memory_pool(), most_memory};
  std::unique_ptr<parquet::arrow::FileReader> file_;
  std::unique_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  int64_t row_ = 0;  ///< of the batch, to be written next
  std::string text_;
  size_t at_ = 0;  ///< of the text, to be handed out next
  std::string message_;
  LowrankParquetProblem problem_ = lowrank_parquet_corrupt;
};

namespace {

constexpr LowrankParquetModule functions{
    lowrank_parquet_version,
    [](const void* bytes, size_t size, LowrankParquetReader** reader) {
      auto made = std::make_unique<LowrankParquetReader>();
      const bool opened = made->open(bytes, size);
      *reader = made.release();
      return opened;
    },
    [](LowrankParquetReader* reader, char* into, size_t size) { return reader->read(into, size); },
    [](const LowrankParquetReader* reader) { return reader->message().c_str(); },
    [](const LowrankParquetReader* reader) { return reader->problem(); },
    [](LowrankParquetReader* reader) { const std::unique_ptr<LowrankParquetReader> closed(reader); }};

}  // namespace

extern "C" __attribute__((visibility("default"))) const LowrankParquetModule* lowrank_parquet_module() {
  return &functions;
}
