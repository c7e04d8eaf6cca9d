#include "base/json.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

void refuse(std::string_view text, std::string_view part, JsonLimits limits = {}) {
  SCOPED_TRACE(std::string(text.substr(0, 60)));
  test::expect_error(ErrorKind::corrupt, "some.json", part, [&] { parse_json(text, "some.json", limits); });
}

TEST(Json, ReadsWhatTheStandardAllows) {
  const nlohmann::json json =
      parse_json(" {\"a\": [1, -2.5e3, null, true], \"b\": {\"a\": \"\\u00fc\"}} \n", "x");
  EXPECT_EQ(json["a"][1], -2500.0);
  EXPECT_EQ(json["b"]["a"], "ü");
  EXPECT_EQ(parse_json("18446744073709551615", "x").get<uint64_t>(), UINT64_MAX);
  EXPECT_EQ(parse_json("1e-400", "x").get<double>(), 0.0);
}

TEST(Json, RefusesWhatItForbids) {
  using namespace std::string_literals;
  refuse("", "column");
  refuse("\xEF\xBB\xBF{}", "byte order mark");
  refuse("{\n// why\n}", "line 2");
  refuse("{} {}", "column");
  refuse("{}\0"s, "zero byte at offset 2");
  refuse("\"a\0b\""s, "zero byte at offset 2");
  refuse("[1,]", "column");
  refuse("[1e400]", "1e400");
  refuse("[-1e400]", "1e400");
  refuse("[NaN]", "column");
  refuse("\"\xFF\"", "column");
  refuse("\"\\ud800\"", "surrogate");
  refuse("{\"a\": {\"b\": 1, \"b\": 2}}", "the key \"b\" stands twice");
  EXPECT_NO_THROW(parse_json("[{\"b\": 1}, {\"b\": 2}]", "x"));
}

TEST(Json, BoundsDepthAndValues) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(parse_json(nested(64), "x"));
  refuse(nested(65), "deeper than 64");
  constexpr size_t many = 10'000'000;
  refuse(std::string(many, '['), "deeper than 64");
  EXPECT_NO_THROW(parse_json("[[1],2,3]", "x", {.depth = 2, .values = 5}));
  refuse("[[1],2,3,4]", "more than 5 values", {.depth = 2, .values = 5});
  refuse("[[[]]]", "deeper than 2", {.depth = 2, .values = 5});
}

TEST(Json, ErrorsStayShort) {
  refuse("[\"" + std::string(5'000'000, 'a'), "...");
  refuse("{\"" + std::string(5000, 'a') + "\":1,\"" + std::string(5000, 'a') + "\":1}", "stands twice");
  refuse("{\"a\\n\\u001b[31m\":1,\"a\\n\\u001b[31m\":1}", "\"a\\x0a\\x1b[31m\"");
}

TEST(Json, FilesAreBounded) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("a.json", "{\"a\": 1}");
  EXPECT_EQ(read_json_file(path, 8)["a"], 1);
  test::expect_error(ErrorKind::corrupt, path.string(), "8 bytes", [&] { read_json_file(path, 7); });
  const auto empty = folder.write("empty.json", "");
  test::expect_error(ErrorKind::corrupt, empty.string(), "column", [&] { read_json_file(empty, 7); });
}

TEST(Json, IntegersAreReadWholeOrRefused) {
  EXPECT_EQ(json_integer(parse_json("-7", "here"), "count", "here"), -7);
  for (const char* text : {"1e308", "1.5", "18446744073709551615", "true", "null", "\"7\"", "[7]"}) {
    test::expect_error(ErrorKind::corrupt, "here", "count must be a whole number",
                       [&] { json_integer(parse_json(text, "here"), "count", "here"); });
  }
}

}  // namespace
}  // namespace lowrank
