// What is refused, where, and the limits of a render.
#include <string>

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/expect_error.h"
#include "tokenizer/jinja/template.h"

namespace lowrank::test {
namespace {

struct Refusal {
  const char* source;
  ErrorKind kind;
  const char* place;
  const char* message;
};

std::string rendered(const std::string& source, const std::string& value = "null") {
  const nlohmann::ordered_json json = parse_ordered_json(value, "test", {.depth = 5000});
  return jinja::Template(source, "T").render({{"v", &json, false}}, {2025, 3, 9, 8, 5, 7}).text;
}

void expect_refusals(std::initializer_list<Refusal> refusals) {
  for (const Refusal& refusal : refusals) {
    SCOPED_TRACE(std::string(refusal.source).substr(0, 80));
    expect_error(refusal.kind, "chat template T, " + std::string(refusal.place), refusal.message,
                 [&] { (void)rendered(refusal.source); });
  }
}

TEST(JinjaErrors, OfTheSource) {
  expect_refusals(
      {{"{{ 'a' ", ErrorKind::corrupt, "line 1, column 1", "not closed"},
       {"a\n{% if true %}x", ErrorKind::corrupt, "line 2, column 4", "'endif'"},
       {"{% frobnicate %}", ErrorKind::corrupt, "line 1, column 4", "unknown tag 'frobnicate'"},
       {"é\r\n é{{ 1 | frob }}", ErrorKind::corrupt, "line 2, column 10", "no filter named 'frob'"},
       {"{{ 1 is frob }}", ErrorKind::corrupt, "line 1, column 6", "no test named 'frob'"},
       {"{{ 1 | urlize }}", ErrorKind::unsupported, "line 1, column 8", "'urlize' is not supported"},
       {"{% include 'x' %}", ErrorKind::unsupported, "line 1, column 4", "'include'"},
       {"{% break %}", ErrorKind::corrupt, "line 1, column 4", "outside a loop"},
       {"{% for x in v %}{% generation %}{% break %}", ErrorKind::corrupt, "line 1, column 36",
        "outside a loop"},
       {"{{ (1] }}", ErrorKind::corrupt, "line 1, column 6", "unexpected ']'"},
       {"{{ self.x }}", ErrorKind::unsupported, "line 1, column 4", "'self'"}});
}

TEST(JinjaErrors, OfARender) {
  expect_refusals(
      {{"a\n{{ 'a' + 1 }}", ErrorKind::invalid, "line 2, column 8", "can only concatenate str"},
       {"{{ u.x }}", ErrorKind::invalid, "line 1, column 5", "'u' is undefined"},
       {"{{ {}.x.y }}", ErrorKind::invalid, "line 1, column 8", "'dict object' has no attribute 'x'"},
       {"{{ raise_exception('roles must alternate') }}", ErrorKind::invalid, "line 1",
        "roles must alternate"},
       {"{% if true %}{{ 1 | frob }}{% endif %}", ErrorKind::corrupt, "line 1, column 21", "'frob'"},
       {"{{ [].append(1) }}", ErrorKind::invalid, "line 1, column 6", "has no attribute 'append'"},
       {"{{ 'a'.encode() }}", ErrorKind::unsupported, "line 1, column 7",
        "'encode' of 'str' is not supported"},
       {"{{ 9223372036854775807 + 1 }}", ErrorKind::invalid, "line 1, column 24", "64 bits"},
       {"{{ strftime_now('%900Y') }}", ErrorKind::unsupported, "line 1", "strftime_now"},
       {"{% set ns = namespace() %}{% set ns._x = 1 %}", ErrorKind::invalid, "line 1", "underscore"},
       {"{{ range }}", ErrorKind::invalid, "line 1, column 4", "address"}});
}

TEST(JinjaErrors, AFilterOnABranchNotTakenIsNotMissed) {
  EXPECT_EQ(rendered("{% if false %}{{ 1 | frob }}{% endif %}x"), "x");
}

TEST(JinjaErrors, ALongMessageIsCut) {
  try {
    (void)rendered("{{ raise_exception('é' * 100000) }}");
    FAIL();
  } catch (const Error& error) {
    EXPECT_LT(std::string(error.what()).size(), 5000U);
  }
}

TEST(JinjaLimits, BoundEveryRender) {
  const std::string doubled =
      "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}";
  expect_refusals(
      {{"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", ErrorKind::invalid,
        "line 1", "steps"},
       {"{{ 'a' * 2000000000 }}", ErrorKind::invalid, "line 1", "64 MiB"},
       {"{{ ('a' * 100000) | replace('a', 'b' * 100000) }}", ErrorKind::invalid, "line 1", "64 MiB"},
       {"{{ range(100001) }}", ErrorKind::invalid, "line 1", "Range too big"},
       {"{{ 'x' | center(2000000) }}", ErrorKind::invalid, "line 1", "limit of 10000"},
       {"{{ '%2000000d' % 1 }}", ErrorKind::invalid, "line 1", "limit of 10000"},
       {doubled.c_str(), ErrorKind::invalid, "line 1", "limit of a render"},
       {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", ErrorKind::invalid, "line 1", "limit of a render"},
       {"{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", ErrorKind::invalid, "line 1",
        "limit of a render"},
       {"{% set ns = namespace(l=[]) %}{% for i in range(90000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l "
        "}}",
        ErrorKind::invalid, "line 1", "nested deeper"},
       {"{% for i in range(20) %}{{ 'a' * 1000000 }}{% endfor %}", ErrorKind::invalid, "line 1", "output"}});
  for (const std::string open : {"(", "[", "-", "not ", "{1:"}) {
    std::string source = "{{ ";
    for (int i = 0; i < 100000; ++i) source += open;
    EXPECT_THROW((void)rendered(source + "1 }}"), Error) << open;
  }
}

TEST(JinjaLimits, MemoryIsWhatIsAlive) {
  const std::string big = "{% set big = 'a' * 1000000 %}";
  // More is made in all than may be alive at a time.
  EXPECT_EQ(rendered(big + "{% for i in range(500) %}{% set x = big + 'b' %}{% endfor %}ok"), "ok");
  EXPECT_EQ(rendered("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me is defined }}"), "True");
  expect_error(ErrorKind::invalid, "chat template T", "256 MiB of memory", [&] {
    (void)rendered(big +
                   "{% set ns = namespace(l=[]) %}{% for i in range(300) %}{% set ns.l = [ns.l, big + 'b'] "
                   "%}{% endfor %}");
  });
}

}  // namespace
}  // namespace lowrank::test
