#include "data/sources/compression.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/error.h"

namespace lowrank {
namespace {

constexpr std::string_view gzip_start = "\x1F\x8B", zstd_start = "\x28\xB5\x2F\xFD";
/// A frame of metadata starts with any of sixteen bytes and these.
constexpr std::string_view skippable_rest = "\x2A\x4D\x18";

[[noreturn]] void fail_truncated(const std::string& file, size_t offset) {
  fail(
      ErrorKind::corrupt,
      "{}: the compressed data ends early, at offset {}: the file is not complete; copy or download it again",
      file, offset);
}

[[noreturn]] void fail_damaged(const std::string& file, size_t offset, const char* reason) {
  fail(ErrorKind::corrupt, "{}: the compressed data is damaged near offset {} ({})", file, offset, reason);
}

class GzipReader {
 public:
  GzipReader(std::span<const std::byte> packed, std::string file) : packed_(packed), file_(std::move(file)) {
    constexpr int gzip_only = 16;
    check(inflateInit2(&stream_, MAX_WBITS + gzip_only) == Z_OK, ErrorKind::io,
          "{}: there is no memory to unpack it", file_);
  }
  ~GzipReader() { inflateEnd(&stream_); }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  size_t read(std::span<char> into) {
    size_t filled = 0;
    while (filled < into.size() && !ended_) filled += inflate_some(into.subspan(filled));
    return filled;
  }

 private:
  size_t inflate_some(std::span<char> into) {
    const std::span<const std::byte> input =
        packed_.subspan(offset_, std::min(most, packed_.size() - offset_));
    const size_t room = std::min(most, into.size());
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input.data()));
    stream_.avail_in = static_cast<uInt>(input.size());
    stream_.next_out = reinterpret_cast<Bytef*>(into.data());
    stream_.avail_out = static_cast<uInt>(room);
    const int result = inflate(&stream_, Z_NO_FLUSH);
    offset_ += input.size() - stream_.avail_in;
    if (result == Z_STREAM_END) {
      begin_member();
    } else if (result == Z_OK || result == Z_BUF_ERROR) {
      if (stream_.avail_out > 0 && offset_ == packed_.size()) fail_truncated(file_, offset_);
    } else {
      fail_damaged(file_, offset_, stream_.msg ? stream_.msg : zError(result));
    }
    return room - stream_.avail_out;
  }

  void begin_member() {
    const std::span<const std::byte> rest = packed_.subspan(offset_);
    const std::string_view start(reinterpret_cast<const char*>(rest.data()), rest.size());
    ended_ = start.find_first_not_of('\0') == std::string_view::npos;
    if (ended_) return;
    check(start.starts_with(gzip_start), ErrorKind::corrupt,
          "{}: from offset {} on, the file holds something that is not compressed with gzip", file_, offset_);
    inflateReset(&stream_);
  }

  static constexpr size_t most = 1 << 30;  ///< bytes that the library counts at once
  std::span<const std::byte> packed_;
  std::string file_;
  z_stream stream_{};
  size_t offset_ = 0;
  bool ended_ = false;
};

class ZstdReader {
 public:
  ZstdReader(std::span<const std::byte> packed, std::string file)
      : input_{packed.data(), packed.size(), 0}, file_(std::move(file)), stream_(ZSTD_createDStream()) {
    check(stream_ != nullptr, ErrorKind::io, "{}: there is no memory to unpack it", file_);
  }

  size_t read(std::span<char> into) {
    ZSTD_outBuffer output{into.data(), into.size(), 0};
    while (output.pos < output.size && !ended_) {
      const size_t result = ZSTD_decompressStream(stream_.get(), &output, &input_);
      if (ZSTD_isError(result)) fail_with(result);
      const bool all_read = input_.pos == input_.size;
      ended_ = result == 0 && all_read;
      if (result != 0 && all_read && output.pos < output.size) fail_truncated(file_, input_.pos);
    }
    return output.pos;
  }

 private:
  [[noreturn]] void fail_with(size_t result) const {
    check(
        ZSTD_getErrorCode(result) != ZSTD_error_frameParameter_windowTooLarge, ErrorKind::unsupported,
        "{}: reading what was compressed with zstd --long=28 or more takes too much memory; unpack it first",
        file_);
    fail_damaged(file_, input_.pos, ZSTD_getErrorName(result));
  }

  struct Free {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };
  ZSTD_inBuffer input_;
  std::string file_;
  std::unique_ptr<ZSTD_DStream, Free> stream_;
  bool ended_ = false;
};

template <class Reader>
ReadBytes reading(std::span<const std::byte> packed, std::string file) {
  return [reader = std::make_shared<Reader>(packed, std::move(file))](std::span<char> into) {
    return reader->read(into);
  };
}

}  // namespace

std::optional<Compression> compression_of(std::string_view start) {
  if (start.starts_with(gzip_start)) return Compression::gzip;
  const bool skippable =
      !start.empty() && (start.front() & 0xF0) == 0x50 && start.substr(1).starts_with(skippable_rest);
  if (start.starts_with(zstd_start) || skippable) return Compression::zstd;
  return std::nullopt;
}

ReadBytes unpacked(Compression compression, std::span<const std::byte> packed, std::string file) {
  return compression == Compression::gzip ? reading<GzipReader>(packed, std::move(file))
                                          : reading<ZstdReader>(packed, std::move(file));
}

TextWindow text_of(std::string_view bytes, const std::string& file) {
  const std::optional<Compression> compression = compression_of(bytes);
  if (!compression) return TextWindow(bytes);
  return TextWindow(unpacked(*compression, std::as_bytes(std::span(bytes)), file));
}

}  // namespace lowrank
