// Tables as GLUE publishes them.
#include "study/benchmark/tab_table.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

using Cells = std::vector<std::vector<std::string>>;

class TabTable : public testing::Test {
 protected:
  TabTable() {
    set_log_sink([this](LogLevel, std::string_view line) { log += std::string(line) + '\n'; });
  }
  ~TabTable() override { set_log_sink({}); }

  Cells read(const std::string& content, const TabColumns& columns) const {
    Cells cells;
    read_tab_table(folder.write("t.tsv", content), columns,
                   [&](std::span<const std::string_view> row, const SourceLine&) {
                     cells.emplace_back(row.begin(), row.end());
                   });
    return cells;
  }

  test::TemporaryFolder folder;
  std::string log;
};

TEST_F(TabTable, QuotationMarksStandForThemselves) {
  const Cells expected{{"a \"quoted", "1"}, {"\"whole\"", "0"}, {"it''s\"\"", "1"}};
  EXPECT_EQ(read("id\ttext\tlabel\r\n7\ta \"quoted\t1\r\n8\t\"whole\"\t0\r\n\r\n9\tit''s\"\"\t1",
                 {{"text", "label"}}),
            expected);
  EXPECT_TRUE(log.empty()) << log;
}

TEST_F(TabTable, ColumnsByPositionHaveNoFirstLine) {
  const Cells expected{{"b", "x"}, {"d", "y"}};
  EXPECT_EQ(read("x\ta\tb\ny\tc\td\n", {{}, {2, 0}}), expected);
}

TEST_F(TabTable, AFewShortLinesAreLeftOutAndNamed) {
  const Cells expected{{"2"}, {"4"}};
  EXPECT_EQ(read("a\tb\n1\t2\nbroken\n3\t4\tmore\n", {{"b"}}), expected);
  EXPECT_NE(
      log.find("t.tsv: 1 of 3 lines cannot be read: line 3 has 1 column, where the table needs at least 2"),
      std::string::npos)
      << log;
}

TEST_F(TabTable, ManyBrokenLinesAndWrongColumnsAreErrors) {
  std::string many = "a\tb\n";
  for (int i = 0; i < 1000; ++i) many += i % 80 == 0 ? "broken\n" : "1\t2\n";
  test::expect_error(ErrorKind::corrupt, "t.tsv", "13 of 1000 lines cannot be read: line 2 has 1 column",
                     [&] { read(many, {{"b"}}); });
  test::expect_error(ErrorKind::corrupt, "t.tsv", "1 of 1 lines", [&] { read("a\tb\nbroken\n", {{"b"}}); });
  test::expect_error(ErrorKind::invalid, "t.tsv", "names no column \"c\", \"d\"; it has a, b", [&] {
    read("a\tb\n1\t2\n", {{"c", "a", "d"}});
  });
  test::expect_error(ErrorKind::corrupt, "t.tsv:3", "not UTF-8", [&] { read("a\n1\n\xff\n", {{"a"}}); });
  test::expect_error(ErrorKind::invalid, "t.tsv", "no rows", [&] { read("a\tb\n", {{"b"}}); });
  test::expect_error(ErrorKind::invalid, "t.tsv", "no lines", [&] { read("\n\n", {{"b"}}); });
}

}  // namespace
}  // namespace lowrank
