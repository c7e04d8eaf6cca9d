#include "data/examples/example_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

#include "base/error.h"

namespace lowrank {
namespace {

constexpr std::string_view magic = "lowrank rows 1\n";
constexpr size_t alignment = 16;
/// So many are checked at once, about 24 MB.
constexpr int64_t records_in_memory = 500'000;

/// The end of a file.
struct Footer {
  std::array<char, 16> magic{}, key{}, contents{}, checksum{};
  uint64_t tokens = 0, marks = 0, records = 0, facts = 0;  ///< their numbers; of facts bytes
};
static_assert(sizeof(Footer) == 96);

std::array<char, 16> sixteen(std::string_view text) {
  std::array<char, 16> bytes{};
  std::copy_n(text.begin(), std::min(text.size(), bytes.size()), bytes.begin());
  return bytes;
}

std::string_view text_of(const std::array<char, 16>& bytes) {
  return {bytes.data(), bytes.size()};
}

size_t padded(size_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

void add_counts(Fingerprint& checksum, const Footer& footer) {
  for (const uint64_t count : {footer.tokens, footer.marks, footer.records, footer.facts})
    checksum.add(static_cast<int64_t>(count));
  checksum.add(text_of(footer.contents));
}

}  // namespace

void add_to(Fingerprint& all, const Example& example) {
  all.add_values<int64_t>(example.tokens);
  all.add_values<int64_t>(example.labels);
  if (example.label) all.add_values<double>(std::span(&*example.label, 1));
  if (!example.classes.empty()) all.add_values<int64_t>(example.classes);
  if (example.type_one_tokens > 0) all.add(example.type_one_tokens);
}

SpillFile::SpillFile(const std::filesystem::path& folder) : folder_(folder) {
  std::string name = (folder / "spill-XXXXXX").string();
  const int descriptor = ::mkstemp(name.data());
  if (descriptor >= 0) ::unlink(name.c_str());
  file_ = descriptor < 0 ? nullptr : ::fdopen(descriptor, "w+b");
  check(file_ != nullptr, ErrorKind::io, "{}: cannot write: {}", folder.string(), std::strerror(errno));
}

SpillFile::~SpillFile() {
  std::fclose(file_);
}

void SpillFile::write(std::span<const std::byte> bytes) {
  check(std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size(), ErrorKind::io,
        "{}: cannot write: {}", folder_.string(), std::strerror(errno));
}

void SpillFile::each_block(const std::function<void(std::span<const std::byte>)>& take) {
  std::vector<std::byte> block(1 << 20);
  bool good = std::fflush(file_) == 0 && std::fseek(file_, 0, SEEK_SET) == 0;
  while (good) {
    const size_t size = std::fread(block.data(), 1, block.size(), file_);
    if (size == 0) break;
    take(std::span(block).first(size));
  }
  check(good && std::ferror(file_) == 0, ErrorKind::io, "{}: cannot read back: {}", folder_.string(),
        std::strerror(errno));
}

ExampleFileWriter::ExampleFileWriter(const std::filesystem::path& path)
    : file_(path), marks_(path.parent_path()), records_(path.parent_path()) {}

void ExampleFileWriter::write_record(const StoredExample& record) {
  records_.write(bytes_of(record));
  checksum_.add(bytes_of(record));
}

void ExampleFileWriter::append(const Example& example) {
  const PackedExample small = packed(example);
  StoredExample record = small.record;
  record.tokens = tokens_written_;
  record.marks = marks_written_;
  failed_ = true;
  file_.write(std::as_bytes(std::span(small.tokens)));
  marks_.write(std::as_bytes(std::span(small.marks)));
  write_record(record);
  failed_ = false;
  add_to(contents_, example);
  tokens_written_ += std::ssize(small.tokens);
  marks_written_ += std::ssize(small.marks);
  ++records_written_;
}

void ExampleFileWriter::commit(std::string_view key, std::string_view facts) {
  failed_ = true;
  StoredExample end;
  end.tokens = tokens_written_;
  end.marks = marks_written_;
  write_record(end);
  constexpr std::array<std::byte, alignment> zeros{};
  const auto pad = [&](size_t written) { file_.write(std::span(zeros).first(padded(written) - written)); };
  const auto copy = [&](std::span<const std::byte> block) { file_.write(block); };
  pad(static_cast<size_t>(tokens_written_) * sizeof(int32_t));
  marks_.each_block(copy);
  pad(static_cast<size_t>(marks_written_) * sizeof(int32_t));
  records_.each_block(copy);
  pad(static_cast<size_t>(records_written_ + 1) * sizeof(StoredExample));
  file_.write(facts);
  pad(facts.size());
  Footer footer;
  footer.magic = sixteen(magic);
  footer.key = sixteen(key);
  footer.contents = sixteen(contents_.text());
  footer.tokens = static_cast<uint64_t>(tokens_written_);
  footer.marks = static_cast<uint64_t>(marks_written_);
  footer.records = static_cast<uint64_t>(records_written_ + 1);
  footer.facts = facts.size();
  checksum_.add(facts);
  add_counts(checksum_, footer);
  footer.checksum = sixteen(checksum_.text());
  file_.write(bytes_of(footer));
  file_.commit();
  failed_ = false;
}

std::shared_ptr<const MappedExamples> MappedExamples::open(const std::filesystem::path& path,
                                                           std::string_view key, int64_t vocabulary) {
  const std::shared_ptr<MappedExamples> mapped(new MappedExamples(MmapFile::open(path), vocabulary));
  mapped->read(key);
  mapped->check_records();
  return mapped;
}

void MappedExamples::read(std::string_view key) {
  const std::span<const std::byte> bytes = file_.bytes();
  const std::string path = file_.path().string();
  Footer footer;
  check(bytes.size() >= sizeof footer, ErrorKind::corrupt, "{}: too short for a file of rows", path);
  std::memcpy(&footer, bytes.data() + bytes.size() - sizeof footer, sizeof footer);
  check(footer.magic == sixteen(magic) && footer.key == sixteen(key), ErrorKind::corrupt,
        "{}: not a file of these rows", path);
  const std::array<std::pair<uint64_t, size_t>, 4> sections{{{footer.tokens, sizeof(int32_t)},
                                                             {footer.marks, sizeof(int32_t)},
                                                             {footer.records, sizeof(StoredExample)},
                                                             {footer.facts, 1}}};
  std::array<std::span<const std::byte>, 4> found;
  std::span<const std::byte> rest = bytes.first(bytes.size() - sizeof footer);
  for (size_t i = 0; i < sections.size(); ++i) {
    const auto [count, size] = sections[i];
    check(count <= rest.size() / size && padded(count * size) <= rest.size(), ErrorKind::corrupt,
          "{}: shorter than its own sizes say", path);
    found[i] = rest.first(count * size);
    rest = rest.subspan(padded(count * size));
  }
  check(rest.empty() && footer.records > 0, ErrorKind::corrupt, "{}: longer than its own sizes say", path);
  arrays_.tokens = {reinterpret_cast<const int32_t*>(found[0].data()), footer.tokens};
  arrays_.marks = {reinterpret_cast<const int32_t*>(found[1].data()), footer.marks};
  arrays_.records = {reinterpret_cast<const StoredExample*>(found[2].data()), footer.records};
  facts_ = {reinterpret_cast<const char*>(found[3].data()), footer.facts};
  contents_ = text_of(footer.contents);
  Fingerprint checksum;
  for (int64_t i = 0; i < std::ssize(arrays_.records); ++i) {
    if (i % records_in_memory == 0) file_.forget_pages();
    checksum.add(bytes_of(arrays_.records[i]));
  }
  checksum.add(facts_);
  add_counts(checksum, footer);
  check(footer.checksum == sixteen(checksum.text()), ErrorKind::corrupt, "{}: its checksum is another", path);
}

void MappedExamples::check_records() const {
  const auto fails = [&](int64_t index) {
    fail(ErrorKind::corrupt, "{}: example {} does not fit its neighbours", file_.path().string(), index);
  };
  const std::span<const StoredExample> records = arrays_.records;
  if (records.front().tokens != 0 || records.front().marks != 0) fails(0);
  for (int64_t i = 0; i < arrays_.count(); ++i) {
    if (i % records_in_memory == 0) file_.forget_pages();
    const int64_t tokens = records[i + 1].tokens - records[i].tokens;
    const int64_t marks = records[i + 1].marks - records[i].marks;
    const StoredLabels labels = records[i].labels;
    const bool fits = tokens >= 0 && marks >= 0 && records[i + 1].tokens <= std::ssize(arrays_.tokens) &&
                      records[i + 1].marks <= std::ssize(arrays_.marks) &&
                      ((labels == StoredLabels::runs && marks % 2 == 0) ||
                       (labels == StoredLabels::own && marks == tokens) ||
                       (labels == StoredLabels::none && marks == 0) || labels == StoredLabels::classes) &&
                      records[i].type_one_tokens >= 0 && records[i].type_one_tokens <= tokens;
    if (!fits) fails(i);
  }
  file_.forget_pages();
}

void MappedExamples::check_example(int64_t index) const {
  const auto in_vocabulary = [&](int32_t id) { return id >= 0 && id < vocabulary_; };
  const std::span<const int32_t> tokens = arrays_.tokens_of(index), marks = arrays_.marks_of(index);
  bool good = std::ranges::all_of(tokens, in_vocabulary);
  const StoredLabels labels = arrays_.records[index].labels;
  if (labels == StoredLabels::classes) {
    good = good && std::ranges::all_of(marks, [](int32_t number) { return number >= 0; });
  } else if (labels == StoredLabels::own) {
    good = good && std::ranges::all_of(
                       marks, [&](int32_t label) { return label == no_target || in_vocabulary(label); });
  } else {
    good = good && std::ranges::is_sorted(marks) &&
           (marks.empty() || (marks.front() >= 0 && marks.back() <= std::ssize(tokens)));
  }
  check(good, ErrorKind::corrupt, "{}: example {} is damaged; delete the file, and it is made anew",
        file_.path().string(), index);
}

}  // namespace lowrank
