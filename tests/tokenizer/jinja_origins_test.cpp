// What is known about the text of a rendering: generation blocks, messages, iterations.
#include <string>

#include <gtest/gtest.h>

#include "base/json.h"
#include "tokenizer/jinja/template.h"

namespace lowrank::test {
namespace {

using jinja::Iteration;
using jinja::OriginSpan;
using jinja::Span;

jinja::Rendering rendering_of(const std::string& source) {
  const nlohmann::ordered_json messages = parse_ordered_json(
      R"([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes", "x": {"k": ["v"]}}])",
      "test");
  return jinja::Template(source, "T").render({{"messages", &messages, true}}, {});
}

std::vector<Span> spans(const std::string& source) {
  return rendering_of(source).spans;
}

TEST(JinjaSpans, OfGenerationBlocks) {
  EXPECT_EQ(spans("a{% generation %}b{% endgeneration %}c"), (std::vector<Span>{{1, 2}}));
  EXPECT_EQ(spans("a{% generation %}{% endgeneration %}c"), (std::vector<Span>{{1, 1}}));
  EXPECT_EQ(spans("{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"),
            (std::vector<Span>{{0, 2}, {2, 5}}));
}

TEST(JinjaSpans, PassThroughWhateverBuildsStrings) {
  const std::vector<Span> expected = {{2, 5}};
  const std::string macro = "{% macro f() %}1{% generation %}abc{% endgeneration %}{% endmacro %}";
  EXPECT_EQ(spans("x" + macro + "{{ f() }}"), expected);
  EXPECT_EQ(spans(macro + "{{ 'x' ~ f() ~ 'y' }}"), expected);
  EXPECT_EQ(spans(macro + "{{ 'x' + f() + 'y' }}"), expected);
  EXPECT_EQ(spans(macro + "{{ ('  x' + f()) | trim | upper }}"), expected);
  EXPECT_EQ(spans(macro + "{% set s %}x{{ f() }}{% endset %}{{ s }}"), expected);
  EXPECT_EQ(spans(macro + "{% filter replace('q', 'xx') %}q{% endfilter %}{{ f()[1:] }}"), expected);
  EXPECT_EQ(spans(macro + "x{{ (f() ~ '|z').split('|')[0] }}"), expected);
  EXPECT_EQ(spans(macro + "{{ ['x' ~ f(), 'z'] | join('-') }}"), expected);
}

TEST(JinjaOrigins, FollowTheTextOfMessages) {
  EXPECT_EQ(rendering_of("<{{ messages[1].content | upper }}{{ messages[0].content }}>").origins,
            (std::vector<OriginSpan>{{0, 1, -1}, {1, 4, 1}, {4, 6, 0}, {6, 7, -1}}));
  EXPECT_EQ(rendering_of("{{ 'a' + messages[1].content[1:] }}").origins,
            (std::vector<OriginSpan>{{0, 1, -1}, {1, 3, 1}}));
  EXPECT_EQ(rendering_of("{{ messages[1].x | tojson }}").origins, (std::vector<OriginSpan>{{0, 12, 1}}));
  EXPECT_EQ(rendering_of("{{ messages[1].x }}").origins, (std::vector<OriginSpan>{{0, 12, 1}}));
}

TEST(JinjaIterations, KnowTheirMessage) {
  const std::vector<Iteration> both = {{0, 0, 3, 0, false}, {1, 3, 7, 0, false}};
  EXPECT_EQ(rendering_of("{% for m in messages %}{{ m.content }};{% endfor %}").iterations, both);
  EXPECT_EQ(
      rendering_of("{% for i in range(2) %}{% set m = messages[i] %}{{ m.content }};{% endfor %}").iterations,
      both);
  EXPECT_EQ(rendering_of("{% for x in 'ab' %}{{ messages[loop.index0].content }};{% endfor %}").iterations,
            both);
  EXPECT_EQ(rendering_of("{% for m in messages[1:] %}{{ m.content }}{% endfor %}").iterations,
            (std::vector<Iteration>{{1, 0, 3, 0, false}}));
  EXPECT_EQ(rendering_of("{% for m in messages | reverse %}{{ m.content }}{% endfor %}").iterations,
            (std::vector<Iteration>{{1, 0, 3, 0, false}, {0, 3, 5, 0, false}}));
  EXPECT_EQ(rendering_of("{% set ns = namespace(l=messages[:1]) %}{% for x in [1] %}{% for m in ns.l %}a{% "
                         "endfor %}{% endfor %}")
                .iterations,
            (std::vector<Iteration>{{0, 0, 1, 1, false}}));
}

TEST(JinjaIterations, InsideAMacroAreBuffered) {
  EXPECT_EQ(
      rendering_of("ab{% macro f() %}{% for m in messages %}x{% endfor %}{% endmacro %}{{ f() }}").iterations,
      (std::vector<Iteration>{{0, 2, 2, 0, true}, {1, 2, 2, 0, true}}));
}

TEST(JinjaIterations, InsideAGenerationBlockAreExact) {
  EXPECT_EQ(rendering_of("ab{% generation %}c{% for m in messages[:1] %}x{% endfor %}{% endgeneration %}")
                .iterations,
            (std::vector<Iteration>{{0, 3, 4, 0, false}}));
}

TEST(JinjaIterations, OtherIndicesAreNotTaken) {
  EXPECT_TRUE(rendering_of("{% for i in range(2) %}{{ messages[i - 1].content }}{% set j = 0 %}{{ "
                           "messages[j].content }}{% endfor %}")
                  .iterations.empty());
}

}  // namespace
}  // namespace lowrank::test
