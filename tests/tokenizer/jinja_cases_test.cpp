// Templates against transformers' jinja2 environment (tests/fixtures/make_jinja.py).
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/places.h"
#include "tokenizer/jinja/template.h"

namespace lowrank::test {
namespace {

TEST(JinjaCases, RenderAsTheReference) {
  std::ifstream file(fixture("jinja") / "cases.jsonl");
  std::string line;
  ASSERT_TRUE(std::getline(file, line));
  const nlohmann::ordered_json context = parse_ordered_json(line, "context")["context"];
  std::vector<jinja::Variable> variables;
  for (const auto& [name, value] : context.items()) variables.push_back({name, &value, false});
  size_t cases = 0;
  while (std::getline(file, line)) {
    const nlohmann::ordered_json expected = parse_ordered_json(line, "case");
    const auto source = expected["source"].get<std::string>();
    SCOPED_TRACE(source);
    ++cases;
    try {
      EXPECT_EQ(jinja::Template(source, "case").render(variables, {}).text,
                expected["text"].get<std::string>());
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  }
  EXPECT_GT(cases, 60U);
}

}  // namespace
}  // namespace lowrank::test
