// The page that shows a run, and its curves.
#include "report/run_page.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "report/run_curves.h"
#include "report/smoothed.h"

namespace lowrank {
namespace {

using Record = nlohmann::ordered_json;

std::vector<Record> records_of(int steps) {
  std::vector<Record> records;
  for (int step = 1; step <= steps; ++step) {
    records.push_back({{"step", step}, {"loss", 3.0 / step}, {"learning_rate", 1e-4}, {"grad_norm", 1.0}});
    if (step % 10 == 0) records.push_back({{"step", step}, {"eval_loss", 2.0}});
  }
  return records;
}

TEST(RunCurves, SmoothsAndThinsLongRuns) {
  const std::vector<LinePlot> few = run_plots(records_of(5));
  ASSERT_EQ(few.size(), 3U);  // no speed
  EXPECT_EQ(few[0].series.size(), 1U);
  const std::vector<LinePlot> many = run_plots(records_of(12000));
  ASSERT_EQ(many[0].series.size(), 3U);
  EXPECT_EQ(many[0].series[0].stroke, Stroke::faint);
  EXPECT_LE(many[0].series[0].points.size(), 500U);
  EXPECT_GE(many[0].series[0].points.size(), 250U);
  EXPECT_EQ(many[0].series[2].points.size(), 1200U);
  EXPECT_TRUE(run_plots({}).empty());
}

TEST(RunCurves, AverageHasNoPastAtFirst) {
  Smoothed average(0.9);
  EXPECT_DOUBLE_EQ(average.add(4), 4);
  EXPECT_NEAR(average.add(2), (0.9 * 4 + 2) / 1.9, 1e-12);
  Smoothed none(0);
  none.add(5);
  EXPECT_DOUBLE_EQ(none.add(7), 7);
}

TEST(RunPage, EscapesWhatModelsAndFilesSay) {
  RunPage page;
  const std::string bad = "<script>alert(1)</script>\x01\"&'";
  page.title = page.state = bad;
  page.results = page.configuration = page.environment = {{bad, bad}};
  page.samples = {{0, bad, bad, bad}};
  page.rows = {{bad, {bad}, 3}};
  page.plots = run_plots(records_of(30));
  page.plots[0].title = page.plots[0].series[0].label = bad;
  const std::string html = html_of(page);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find('\x01'), std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;"), std::string::npos);
  EXPECT_NE(html.find(" and 2 more"), std::string::npos);
  // Nothing is loaded: the only addresses are XML's name spaces.
  for (size_t at = html.find("http"); at != std::string::npos; at = html.find("http", at + 1))
    EXPECT_TRUE(html.substr(at).starts_with("http://www.w3.org/2000/svg") ||
                html.substr(at).starts_with("http-equiv"));
}

TEST(RunPage, GroupsSamplesByPrompt) {
  RunPage page;
  page.samples = {
      {0, "one", "a", "right"}, {0, "two", "b"}, {5, "one", "line\nbreak", "right"}, {5, "two", "d"}};
  page.ended = false;
  const std::string html = html_of(page);
  const auto at = [&](const std::string& text) { return html.find(text); };
  EXPECT_LT(at(">one<"), at("line\nbreak"));
  EXPECT_LT(at("line\nbreak"), at(">right<"));
  EXPECT_LT(at(">right<"), at(">two<"));
  EXPECT_EQ(std::ranges::count(html, '\x01'), 0);
  EXPECT_NE(at("http-equiv=\"refresh\""), std::string::npos);
  EXPECT_EQ(html_of({}).find("http-equiv=\"refresh\""), std::string::npos);
}

}  // namespace
}  // namespace lowrank
