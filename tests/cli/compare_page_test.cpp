// The page of a comparison in a browser: its table, charts and answers as the script makes them.
// tests/serving/run comparison also looks at it in both themes.
#include <algorithm>

#include <gtest/gtest.h>

#include "study/compare/comparison_page.h"
#include "study/compare/comparison_report.h"
#include "support/program.h"

namespace lowrank {
namespace {

ComparisonReport shown_report() {
  ComparisonReport report;
  report.model = "models/small";
  report.benchmark = "e2e";
  report.metrics = {{"bleu", true}};
  int64_t number = 0;
  for (const char* label : {"LoRA", "<b>bold</b>"}) {
    PlannedMethod planned{label, "lora"};
    planned.trained = 1000 * ++number;
    report.methods.push_back(planned);
    RunRecord run;
    run.label = label;
    run.seed = 1;
    run.learning_rate = 1e-3;
    run.seconds = 8;
    run.tokens = 4000;
    run.peak_bytes = 500'000'000;
    run.loss = 2.5;
    run.metrics = {{"bleu", 30.0 + static_cast<double>(number)}};
    run.curve = {{1, 5.0}, {2, 4.0}};
    run.evaluations = {{0, 5.0}, {2, 2.5}};
    run.samples = {{"What is it?", "a reference", "</script><script>document.title='taken'</script>"}};
    report.runs.push_back(run);
  }
  return report;
}

TEST(ComparisonInBrowser, ShowsTableChartsAndAnswers) {
  if (std::system("command -v chromium >/dev/null") != 0) GTEST_SKIP() << "there is no chromium";
  const test::TemporaryFolder folder;
  const std::filesystem::path page = folder.write("index.html", comparison_page(json_of(shown_report())));
  const std::string command = "timeout 600 chromium --headless --no-sandbox --disable-gpu --user-data-dir=" +
                              (folder.path() / "profile").string() +
                              " --virtual-time-budget=2000 --dump-dom file://" + page.string() +
                              " 2>/dev/null";
  std::string dom;
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> piece{};
  while (const size_t count = fread(piece.data(), 1, piece.size(), pipe)) dom.append(piece.data(), count);
  ASSERT_EQ(pclose(pipe), 0);
  for (const char* expected :
       {"<h1 id=\"title\">e2e on small</h1>", "the comparison is not finished",
        "<button type=\"button\">bleu</button>",
        // A label and an answer are texts.
        "&lt;b&gt;bold&lt;/b&gt;", "&lt;/script&gt;&lt;script&gt;document.title='taken'&lt;/script&gt;",
        "<title>e2e on models/small</title>",
        "aria-label=\"bleu against trained parameters: LoRA 31.00 at 1000",
        "<h3>in the data</h3><p>a reference</p>", "<pre id=\"prompt\">What is it?</pre>",
        // The better one of the two.
        "<td class=\"best\">32.00</td>"})
    EXPECT_NE(dom.find(expected), std::string::npos) << expected;
  EXPECT_EQ(dom.find("<td><b>"), std::string::npos);
  // Chart.js has drawn: it sets the canvas's size.
  const size_t canvas = dom.find("<canvas id=\"training\"");
  ASSERT_NE(canvas, std::string::npos);
  EXPECT_NE(dom.substr(canvas, dom.find('>', canvas) - canvas).find("style="), std::string::npos);
}

}  // namespace
}  // namespace lowrank
