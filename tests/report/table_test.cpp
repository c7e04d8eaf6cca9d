// Markdown tables as they are printed.
#include "report/table.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace lowrank {
namespace {

TEST(MarkdownTable, AlignsColumnsAndPutsNumbersToTheRight) {
  EXPECT_EQ(markdown_table({"d", "method", "quality"}, {{"5", "lora", "0.5"}, {"20000", "(IA)³", ""}}),
            "|     d | method | quality |\n"
            "| ----: | ------ | ------: |\n"
            "|     5 | lora   |     0.5 |\n"
            "| 20000 | (IA)³  |         |\n");
}

TEST(MarkdownTable, EscapesBarsAndRefusesRaggedRows) {
  EXPECT_EQ(markdown_table({"a"}, {{"x|y\nz"}}), "| a      |\n| ------ |\n| x\\|y z |\n");
  test::expect_error(ErrorKind::invalid, "row 1 of a table has 1 cells for 2 headings", "", [] {
    markdown_table({"a", "b"}, {{"x"}});
  });
}

}  // namespace
}  // namespace lowrank
