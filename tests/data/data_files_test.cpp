// Tables, arrays, folders and patterns of data files.
#include "data/rows/data_files.h"

#include "data/rows/rows.h"
#include "support/text_fixtures.h"

namespace lowrank::test {
namespace {

std::vector<Row> rows_of(const std::string& pattern, std::vector<std::string> columns = {}) {
  std::vector<Row> rows;
  read_rows(pattern, {"", std::move(columns), true},
            [&](Row row, const nlohmann::ordered_json&) { rows.push_back(std::move(row)); });
  return rows;
}

std::vector<Row> plain_rows_of(const std::string& name, std::string_view text,
                               std::vector<std::string> columns = {}) {
  const Scratch scratch;
  return rows_of(scratch.write(name, text), std::move(columns));
}

TEST(DataFiles, CsvWithQuotesSeparatorsAndLineBreaks) {
  const auto rows = plain_rows_of("a.csv",
                                  "\xEF\xBB\xBFprompt,completion,id\r\n"
                                  " plain , with spaces ,1\r\n"
                                  "\r\n"
                                  "\"a, \"\"b\"\"\",\"two\nlines\",2\r\n"
                                  "last,,3");
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].prompt, " plain ");
  EXPECT_EQ(rows[0].completion, " with spaces ");
  EXPECT_EQ(rows[0].line, 2);
  EXPECT_EQ(rows[1].prompt, "a, \"b\"");
  EXPECT_EQ(rows[1].completion, "two\nlines");
  EXPECT_EQ(rows[2].prompt, "last");
  EXPECT_EQ(rows[2].completion, "");
}

TEST(DataFiles, TsvKeepsQuotationMarks) {
  const auto rows = plain_rows_of("a.tsv", "text\tn\n\"so\" he said\t1\n5\" long\t2\n");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].completion, "\"so\" he said");
  EXPECT_EQ(rows[1].completion, "5\" long");
}

TEST(DataFiles, ColumnsByNameAndByNumber) {
  auto rows = plain_rows_of("a.csv", "question,answer,prompt\n1+1,2,unused\n",
                            {"prompt=question", "completion=answer"});
  EXPECT_EQ(rows[0].prompt, "1+1");
  EXPECT_EQ(rows[0].completion, "2");
  rows = plain_rows_of("a.tsv", "x\tmiddle\ty\nu\tmiddle\tv\tmore\n", {"completion=3", "prompt=1"});
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[1].prompt, "u");
  EXPECT_EQ(rows[1].completion, "v");
  rows =
      plain_rows_of("a.jsonl", R"({"question":"q","answer":"a"})", {"prompt=question", "completion=answer"});
  EXPECT_EQ(rows[0].completion, "a");
}

TEST(DataFiles, JsonArrays) {
  const auto rows =
      plain_rows_of("a.json", "\n [ {\"text\": \"a\"},\n{\"text\":\"b\", \"x\":[1,{\"y\":2}]}]\n");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[1].completion, "b");
  EXPECT_EQ(rows[1].line, 2);
  EXPECT_EQ(plain_rows_of("a.json", "{\"text\":\"a\"}\n{\"text\":\"b\"}").size(), 2U);
}

TEST(DataFiles, AnArrayIsReadWhateverTheFileIsCalled) {
  EXPECT_EQ(plain_rows_of("a.jsonl", R"([{"text":"a"},{"text":"b"}])").size(), 2U);
  expect_failure(ErrorKind::corrupt, "a.jsonl:1: not a JSON object (and 1 more: 2)",
                 [] { plain_rows_of("a.jsonl", "[1,2]\n[3]\n"); });
}

TEST(DataFiles, OtherKindsOfFilesAreNamed) {
  for (const auto& kind : std::vector<std::pair<std::string, const char*>>{
           {{"\xFD\x37zXZ\0", 6}, "xz; unpack it first"},
           {"PK\x03\x04", "ZIP"},
           {"ARROW1", "Arrow table; convert it"},
           {std::string("\xFF\xFE{\0", 4), "UTF-16; convert it first: iconv"},
           {"\xFE\xFF", "UTF-16"},
           {std::string("{\0\"\0", 4), "zero bytes, as UTF-16"}}) {
    expect_failure(ErrorKind::unsupported, kind.second,
                   [&] { plain_rows_of("a.jsonl", kind.first + "rest"); });
    expect_failure(ErrorKind::unsupported, kind.second, [&] { plain_rows_of("a.csv", kind.first + "rest"); });
  }
}

TEST(DataFiles, ATableOfManyColumnsTakesNoQuadraticTime) {
  std::string line = "text";
  for (int i = 1; i < 999; ++i) line += fmt::format(",column{}", i);
  std::string table = line + "\n";
  for (int i = 0; i < 300; ++i) table += line + "\n";
  EXPECT_EQ(plain_rows_of("a.csv", table).size(), 300U);
}

TEST(DataFiles, FoldersAndPatterns) {
  const Scratch scratch;
  const std::filesystem::path folder = scratch.write("b.jsonl", R"({"text":"b"})").parent_path();
  scratch.write("a.csv", "text\na\n");
  scratch.write("c.json", R"([{"text":"c"}])");
  scratch.write("readme.md", "no data");
  std::string all;
  for (const Row& row : rows_of(folder)) all += row.completion;
  EXPECT_EQ(all, "abc");
  EXPECT_EQ(rows_of(folder / "?.json*").size(), 2U);
  expect_failure(ErrorKind::not_found, "no file matches", [&] { rows_of(folder / "*.tsv"); });
  expect_failure(ErrorKind::not_found, "nothing.csv", [&] { rows_of(folder / "nothing.csv"); });
  std::filesystem::create_directory(folder / "empty");
  expect_failure(ErrorKind::invalid, "no data file in this folder (.jsonl",
                 [&] { rows_of(folder / "empty"); });
}

TEST(DataFiles, BadTablesAreNamedWithTheirLine) {
  const auto fails = [](ErrorKind kind, const char* part, const char* name, std::string_view text,
                        std::vector<std::string> columns = {}) {
    expect_failure(kind, part, [&] { plain_rows_of(name, text, columns); });
  };
  fails(ErrorKind::corrupt, "a.csv:3: 1 fields where 2 are expected", "a.csv", "text,b\n1,2\n3\n");
  fails(ErrorKind::corrupt, "a.csv:2: a quotation mark that does not close", "a.csv", "text\n\"a\nb\n");
  fails(ErrorKind::corrupt, "a.csv:2: a quotation mark within a field", "a.csv", "text\n\"a\"b\n");
  fails(ErrorKind::corrupt, "a.csv:2: a quotation mark within a field", "a.csv", "text,b\na 5\" disk,1\n");
  fails(ErrorKind::corrupt, "expected (and 1 more: 5)", "a.csv", "text,b\n1,2\n3\n1,2\n3\n");
  fails(ErrorKind::invalid, "text is given twice", "a.csv", "x,y\n1,2\n", {"text=x", "text=y"});
  fails(ErrorKind::invalid, "two columns are called 'text'", "a.csv", "text,text\n1,2\n");
  fails(ErrorKind::corrupt, "zero byte", "a.csv", std::string_view("text\n\0\n", 7));
  fails(ErrorKind::corrupt, "a.csv:2: not UTF-8", "a.csv", "text\n\xFF\n");
  fails(ErrorKind::invalid, "no rows", "a.csv", "text\n");
  fails(ErrorKind::invalid, "`columns` prompt=NAME", "a.csv", "x,y\n1,2\n");
  fails(ErrorKind::invalid, "no \"q\", which `columns` names", "a.csv", "x,y\n1,2\n", {"text=q"});
  fails(ErrorKind::invalid, "is not field=column", "a.csv", "x\n1\n", {"txt=x"});
  fails(ErrorKind::invalid, "not both", "a.csv", "x\n1\n", {"prompt=x", "completion=1"});
  fails(ErrorKind::invalid, "for .csv and .tsv files", "a.jsonl", "{}", {"text=1"});
}

TEST(DataFiles, BadArraysAreNamedWithTheirRow) {
  expect_failure(ErrorKind::corrupt, "a.json: row 2: not a JSON object",
                 [] { plain_rows_of("a.json", R"([{"text":"a"},3])"); });
  expect_failure(ErrorKind::corrupt, "parse error", [] { plain_rows_of("a.json", R"([{"text":"a"},])"); });
  expect_failure(ErrorKind::corrupt, "a.json: row 2: the array of rows ends here",
                 [] { plain_rows_of("a.json", R"([{"text":"a"},)"); });
  expect_failure(ErrorKind::corrupt, "text after the array",
                 [] { plain_rows_of("a.json", R"([{"text":"a"}] x)"); });
  expect_failure(ErrorKind::corrupt, "row 1: parse error",
                 [] { plain_rows_of("a.json", R"([{"text":"a"} {}])"); });
  expect_failure(ErrorKind::corrupt, "nested deeper",
                 [] { plain_rows_of("a.json", std::string(100'000, '[')); });
}

}  // namespace
}  // namespace lowrank::test
