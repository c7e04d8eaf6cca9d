// Data files that are compressed.
#include "data/sources/compression.h"

#include "base/process.h"
#include "data/rows/rows.h"
#include "data/sources/file_kind.h"
#include "support/packed_text.h"
#include "support/text_fixtures.h"

namespace lowrank::test {
namespace {

struct Packer {
  std::string ending;
  std::string (*pack)(std::string_view text);
  friend std::ostream& operator<<(std::ostream& out, const Packer& packer) { return out << packer.ending; }
};

class Compressed : public testing::TestWithParam<Packer> {
 protected:
  std::string pack(std::string_view text) const { return GetParam().pack(text); }
  std::string named(const std::string& name) const { return name + GetParam().ending; }

  /// `threads` apart: as training reads them.
  std::vector<std::string> texts_of(const std::string& name, std::string_view bytes) const {
    const Scratch scratch;
    std::vector<std::string> texts;
    read_rows_apart(scratch.write(name, bytes), {"", {}, true}, 2, [&](Row row) -> OrderedWork::End {
      return [&texts, row = std::move(row)] { texts.push_back(row.where + "|" + row.completion); };
    });
    for (std::string& text : texts) text.erase(0, text.rfind('/') + 1);
    return texts;
  }
  void fails(ErrorKind kind, const std::string& part, const std::string& name, std::string_view bytes) const {
    expect_failure(kind, part, [&] { texts_of(name, bytes); });
  }
};

INSTANTIATE_TEST_SUITE_P(Ways, Compressed, testing::Values(Packer{".gz", gzip}, Packer{".zst", zstd}),
                         [](const auto& way) { return way.param.ending.substr(1); });

std::string numbered_lines(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i)
    lines += fmt::format("{{\"text\": \"row {} {}\"}}\n", i, std::string(i % 97, 'x'));
  return lines;
}

TEST_P(Compressed, LinesAreThoseOfTheTextAndNumbered) {
  const std::string lines = numbered_lines(30'000);  // several times what is unpacked at once
  const auto texts = texts_of(named("a.jsonl"), pack(lines + "\n\r\n" + "{\"text\": \"last\"}"));
  ASSERT_EQ(texts.size(), 30'001U);
  EXPECT_EQ(texts[96], named("a.jsonl") + ":97|row 96 " + std::string(96, 'x'));
  EXPECT_EQ(texts[29'999], named("a.jsonl") + ":30000|row 29999 " + std::string(29'999 % 97, 'x'));
  EXPECT_EQ(texts[30'000], named("a.jsonl") + ":30003|last");
}

TEST_P(Compressed, MembersFollowEachOther) {
  const std::string lines = numbered_lines(3);
  const size_t cut = lines.size() / 2;  // within a row
  const std::string bytes = pack(lines.substr(0, cut)) + pack("") + pack(lines.substr(cut));
  EXPECT_EQ(texts_of("a.jsonl", bytes).size(), 3U);
}

TEST_P(Compressed, TheFormIsThatOfTheNameWithoutItsEnding) {
  EXPECT_EQ(texts_of(named("a.CSV"), pack("\xEF\xBB\xBFtext,n\n\"a\nb\",1\nc,2\n")),
            (std::vector<std::string>{named("a.CSV") + ":2|a\nb", named("a.CSV") + ":4|c"}));
  EXPECT_EQ(texts_of(named("a.tsv"), pack("text\n\"a\n")), std::vector{named("a.tsv") + ":2|\"a"});
  EXPECT_EQ(texts_of(named("a.txt"), pack(R"({"text":"a"})")), std::vector{named("a.txt") + ":1|a"});
  EXPECT_EQ(texts_of("a.csv", pack("text\na\n")), std::vector<std::string>{"a.csv:2|a"});
  EXPECT_EQ(texts_of(named("a.jsonl"), R"({"text":"plain"})"), std::vector{named("a.jsonl") + ":1|plain"});
}

TEST_P(Compressed, ArraysAreCutIntoRows) {
  std::string array = " [";
  for (int i = 0; i < 20'000; ++i)
    array += fmt::format("{}{{\"text\": \"]}},\\\" {}\",\n\"x\": [1, {{}}]}}", i > 0 ? " ,\n" : "", i) +
             std::string(i % 50, ' ');
  const auto texts = texts_of(named("a.json"), pack(array + "]\n"));
  ASSERT_EQ(texts.size(), 20'000U);
  EXPECT_EQ(texts[19'999], named("a.json") + ": row 20000|]},\" 19999");
  fails(ErrorKind::corrupt, "row 20001: the array of rows ends here", named("a.json"), pack(array + ","));
}

TEST_P(Compressed, TruncationIsAnErrorAtEveryLength) {
  const std::string bytes = pack(numbered_lines(20));
  for (size_t size = 4; size < bytes.size(); ++size) {
    fails(ErrorKind::corrupt,
          fmt::format("{}: the compressed data ends early, at offset {}", named("a.jsonl"), size),
          named("a.jsonl"), std::string_view(bytes).substr(0, size));
  }
  const std::string long_bytes = pack(numbered_lines(60'000));
  fails(ErrorKind::corrupt, fmt::format("ends early, at offset {}", long_bytes.size() - 9), "a.jsonl",
        std::string_view(long_bytes).substr(0, long_bytes.size() - 9));
}

TEST_P(Compressed, DamageIsAnErrorWithTheOffset) {
  const std::string bytes = pack(numbered_lines(20));
  for (const size_t at : {bytes.size() / 2, bytes.size() - 3}) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    fails(ErrorKind::corrupt, named("a.jsonl") + ": ", named("a.jsonl"), damaged);
  }
  std::string damaged = bytes;
  damaged[bytes.size() - 3] ^= 0x10;  // in the checksum
  fails(ErrorKind::corrupt, "the compressed data is damaged near offset", named("a.jsonl"), damaged);
  fails(ErrorKind::corrupt, "offset", "a.jsonl", bytes + "garbage");
}

TEST_P(Compressed, BadRowsAreReportedWithATruncatedEnd) {
  const std::string bytes = pack("{\"text\": 1}\n" + numbered_lines(60'000));
  const std::string message = message_of(
      ErrorKind::invalid, [&] { texts_of("a.jsonl", std::string_view(bytes).substr(0, bytes.size() - 9)); });
  EXPECT_NE(message.find("a.jsonl:1: \"text\" must be a string"), std::string::npos) << message;
  EXPECT_NE(message.find("ends early"), std::string::npos) << message;
}

TEST_P(Compressed, ALineThatNeverEndsTakesBoundedMemory) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the address sanitizer keeps freed memory";
#endif
  const std::string megabyte = pack(std::string(1 << 20, 'a'));
  std::string bomb;
  for (int i = 0; i < 2048; ++i) bomb += megabyte;
  const int64_t before = resident_bytes();
  fails(ErrorKind::corrupt, "a.jsonl:1: a line of more than 67108864 bytes", "a.jsonl", bomb);
  fails(ErrorKind::corrupt, "a.csv:2: a line of more than 67108864 bytes", "a.csv", pack("text\n") + bomb);
  fails(ErrorKind::corrupt, "a.json: row 2: more than 67108864 bytes", "a.json",
        pack("[{\"text\": \"a\"}, \"") + bomb);
  std::string lines;
  while (lines.size() < 1 << 20) lines += "a line of a field\n";
  const std::string packed_lines = pack(lines);
  std::string open_field = pack("text\n\"");
  for (int i = 0; i < 100; ++i) open_field += packed_lines;
  fails(ErrorKind::corrupt, "a.csv:2: a row of more than 67108864 bytes (a quotation mark", "a.csv",
        open_field);
  EXPECT_LT(peak_resident_bytes() - before, 450 << 20);
}

TEST_P(Compressed, OtherKindsInsideAreNamed) {
  fails(ErrorKind::unsupported, "twice; unpack it once more", "a.jsonl", pack(pack("{}")));
  fails(ErrorKind::unsupported, "ZIP", "a.jsonl", pack("PK\x03\x04 and more"));
  fails(ErrorKind::unsupported, "compressed Parquet table; unpack it first", "a.parquet",
        pack("PAR1 and more"));
  fails(ErrorKind::unsupported, "zero bytes", "a.jsonl", pack(std::string(100, '\0')));
  std::string tar(512, '\0');
  tar.replace(0, 7, "a.jsonl").replace(257, 5, "ustar");
  fails(ErrorKind::unsupported, "tar archive", named("a.tar"), pack(tar));
  fails(ErrorKind::invalid, "no rows", "a.jsonl", pack(""));
}

TEST(Compression, ZerosAfterTheLastGzipMemberAreIgnored) {
  const Scratch scratch;
  int rows = 0;
  read_rows(scratch.write("a.jsonl", gzip(R"({"text":"a"})") + std::string(600, '\0')), {"", {}, true},
            [&](const Row&, const auto&) { ++rows; });
  EXPECT_EQ(rows, 1);
}

TEST(Compression, ZstdMayBeginWithMetadata) {
  const std::string metadata("\x5A\x2A\x4D\x18\x03\0\0\0abc", 11);
  const Scratch scratch;
  int rows = 0;
  read_rows(scratch.write("a.jsonl", metadata + zstd(R"({"text":"a"})")), {"", {}, true},
            [&](const Row&, const auto&) { ++rows; });
  EXPECT_EQ(rows, 1);
}

TEST(Compression, ZstdWithAHugeWindowIsRefused) {
  // A frame header that asks for a window of 1 GB, and an empty last block.
  const Scratch scratch;
  const auto path = scratch.write("a.jsonl.zst", std::string_view("\x28\xB5\x2F\xFD\0\xA0\1\0\0", 9));
  expect_failure(ErrorKind::unsupported, "zstd --long=28",
                 [&] { read_rows(path, {}, [](const Row&, const auto&) {}); });
}

TEST(Compression, EndingsOfNames) {
  EXPECT_EQ(content_ending("x/rows.JSONL.GZ"), ".jsonl");
  EXPECT_EQ(content_ending("rows.csv.zstd"), ".csv");
  EXPECT_EQ(content_ending("rows.gz"), "");
  EXPECT_TRUE(has_data_ending("a.parquet"));
  EXPECT_TRUE(has_data_ending("a.tsv.zst"));
  EXPECT_FALSE(has_data_ending("a.gz"));
  EXPECT_FALSE(has_data_ending("a.md.gz"));
}

}  // namespace
}  // namespace lowrank::test
