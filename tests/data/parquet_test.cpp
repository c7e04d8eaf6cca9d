// Parquet tables as rows. The tables: tests/fixtures/make_parquet.py.
#include <cstdlib>

#include "base/process.h"
#include "data/rows/data_files.h"
#include "data/rows/rows.h"
#include "data/sources/parquet_file.h"
#include "support/places.h"
#include "support/temporary_folder.h"
#include "support/text_fixtures.h"

namespace lowrank::test {
namespace {

std::filesystem::path table(const std::string& name) {
  return fixture("parquet") / (name + ".parquet");
}

std::vector<Row> table_rows(const std::filesystem::path& path, std::string_view format = "") {
  std::vector<Row> rows;
  read_rows_apart(path, {std::string(format), {}, true}, 2, [&](Row row) -> OrderedWork::End {
    return [&rows, row = std::move(row)] { rows.push_back(row); };
  });
  return rows;
}

class Parquet : public testing::Test {
 protected:
  void SetUp() override {
#ifdef LOWRANK_PARQUET_MODULE
    ::setenv("LOWRANK_PARQUET", LOWRANK_PARQUET_MODULE, 1);
#else
    GTEST_SKIP() << "built without Arrow (tools/setup arrow)";
#endif
  }
  void TearDown() override {
    ::unsetenv("LOWRANK_PARQUET");
  }
};

TEST_F(Parquet, RowsOfSeveralGroupsInOrder) {
  const auto rows = table_rows(table("prompts"));
  ASSERT_EQ(rows.size(), 600U);
  EXPECT_EQ(rows[0].prompt, "question 0");
  EXPECT_EQ(rows[599].completion, " answer 599");
  EXPECT_EQ(rows[250].line, 251);
  EXPECT_EQ(rows[250].where, table("prompts").string() + ": row 251");
  EXPECT_EQ(rows[250].prompt, "question 250");
  EXPECT_EQ(table_rows(table("zstd")).at(4).completion, "text 4");
}

TEST_F(Parquet, ValuesOfEachTypeAreThoseOfJson) {
  std::vector<std::string> rows;
  read_data_file(table("types"), {}, [&](const DataRow& row) { rows.push_back(row_text(row.fields)); });
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0],
            R"({"text":"a \"b\" \\ \n\t\u0001 é😀","large":"x","view":"v","bool":true,"i8":-128,"u8":255,)"
            R"("i64":-9223372036854775808,"u64":18446744073709551615,"half":0.5,"float":0.1,"double":0.1,)"
            R"("whole":2.0,"null":null,"list":[1,null],"large_list":["a"],"fixed":[1,2],)"
            R"("struct":{"a":1,"b":{"c":[true]}},"word":"w","day":"2024-02-29",)"
            R"("time":"2024-02-29 12:30:00.000","decimal":"1.50"})");
  EXPECT_EQ(rows[1], R"({"text":null,"large":"y","view":null,"bool":false,"i8":127,"u8":0,)"
                     R"("i64":9223372036854775807,"u64":0,"half":1.0,"float":null,"double":1e+300,)"
                     R"("whole":null,"null":null,"list":[],"large_list":null,"fixed":[3,4],)"
                     R"("struct":null,"word":"w","day":null,"time":null,"decimal":null})");
}

TEST_F(Parquet, ListsOfStructsAreConversations) {
  const auto rows = table_rows(table("messages"));
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].format, RowFormat::messages);
  ASSERT_TRUE(rows[1].conversation);
  const std::string message = row_text(rows[0].conversation->conversation.messages.at(1));
  EXPECT_NE(message.find("htop"), std::string::npos) << message;
}

TEST_F(Parquet, TokensAndLabels) {
  const auto rows = table_rows(table("tokenised"));
  EXPECT_EQ(rows.at(0).labels, (std::vector<int64_t>{-100, 2, 3}));
  EXPECT_EQ(rows.at(1).input_ids, (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(table_rows(table("labels"), "label").at(1).label, "bad");
}

TEST_F(Parquet, ColumnsThatNoRowCanHaveAreNamed) {
  const std::string message = message_of(ErrorKind::unsupported, [] { table_rows(table("impossible")); });
  EXPECT_NE(message.find("image.bytes (binary), tags (map<string, int64"), std::string::npos) << message;
}

TEST_F(Parquet, BadRowsAreNamed) {
  expect_failure(ErrorKind::corrupt, "not_utf8.parquet: row 1: not UTF-8",
                 [] { table_rows(table("not_utf8")); });
  expect_failure(ErrorKind::invalid, "no rows", [] { table_rows(table("empty")); });
  expect_failure(ErrorKind::invalid, "types.parquet: row 2: \"text\" must be a string, not null",
                 [] { table_rows(table("types"), "text"); });
}

TEST_F(Parquet, DamagedTablesGiveASentence) {
  const std::string good = content_of(table("zstd"));
  const Scratch scratch;
  for (size_t size = 4; size < good.size(); ++size) {
    expect_failure(ErrorKind::corrupt, "a.parquet: the Parquet table cannot be read: ", [&] {
      table_rows(scratch.write("a.parquet", std::string_view(good).substr(0, size)));
    });
  }
  int answered = 0;
  for (size_t at = 4; at < good.size(); ++at) {
    for (const int bit : {0x01, 0x80}) {
      std::string damaged = good;
      damaged[at] = static_cast<char>(damaged[at] ^ bit);
      try {
        table_rows(scratch.write("a.parquet", damaged));
      } catch (const Error& error) {
        EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << error.what();
      }
      ++answered;
    }
  }
  EXPECT_GT(answered, 100);
}

TEST_F(Parquet, AWideRowTakesBoundedMemory) {
  const int64_t before = resident_bytes();
  expect_failure(ErrorKind::corrupt, "a row of more than 64 MB", [] { table_rows(table("wide")); });
  EXPECT_LT(peak_resident_bytes() - before, int64_t{1} << 30);
}

TEST(ParquetModule, WithoutItASentenceSaysWhatToDo) {
  if (parquet_module()) GTEST_SKIP() << "the module lies beside the test program";
  expect_failure(ErrorKind::unsupported, "run \"tools/setup arrow\" and \"make\"",
                 [] { table_rows(table("zstd")); });
}

TEST(ParquetModule, OneThatIsNoneIsNamed) {
  const Scratch scratch;
  const auto path = scratch.write("liblowrank_parquet.so", "not a library");
  ::setenv("LOWRANK_PARQUET", path.c_str(), 1);
  expect_failure(ErrorKind::unsupported, "liblowrank_parquet.so cannot be loaded",
                 [] { table_rows(table("zstd")); });
  ::unsetenv("LOWRANK_PARQUET");
}

}  // namespace
}  // namespace lowrank::test
