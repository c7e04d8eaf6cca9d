// Scores of labels and numbers, against scikit-learn and scipy.
#include <cmath>
#include <limits>

#include "metric_fixture.h"
#include "metrics/classification.h"
#include "metrics/correlation.h"
#include "metrics/perplexity.h"
#include "support/expect_error.h"

namespace lowrank::metrics {
namespace {

using Labels = std::vector<std::string>;
using Numbers = std::vector<double>;

TEST(LabelScores, AreThoseOfScikitLearn) {
  const nlohmann::json fixture = test::metric_fixture("labels.json");
  for (const nlohmann::json& item : fixture.at("labels")) {
    const auto predicted = item.at("predicted").get<Labels>(), labels = item.at("labels").get<Labels>();
    SCOPED_TRACE(item.dump());
    EXPECT_NEAR(accuracy(predicted, labels), item.at("accuracy").get<double>(), 1e-12);
    EXPECT_NEAR(matthews(predicted, labels), item.at("matthews").get<double>(), 1e-12);
    EXPECT_NEAR(f1_macro(predicted, labels), item.at("f1_macro").get<double>(), 1e-12);
    EXPECT_NEAR(f1_micro(predicted, labels), item.at("f1_micro").get<double>(), 1e-12);
    if (item.at("f1").is_null()) {
      EXPECT_THROW(f1(predicted, labels), Error);
    } else {
      EXPECT_NEAR(f1(predicted, labels), item.at("f1").get<double>(), 1e-12);
    }
  }
}

TEST(LabelScores, CorrelationsAreThoseOfScipy) {
  const nlohmann::json fixture = test::metric_fixture("labels.json");
  for (const nlohmann::json& item : fixture.at("numbers")) {
    const auto predicted = item.at("predicted").get<Numbers>(), labels = item.at("labels").get<Numbers>();
    SCOPED_TRACE(item.dump());
    EXPECT_EQ(mean_ranks(predicted), item.at("ranks").get<Numbers>());
    for (const auto& [name, value] : {std::pair{"pearson", pearson(predicted, labels)},
                                      std::pair{"spearman", spearman(predicted, labels)}}) {
      if (item.at(name).is_null()) {
        EXPECT_TRUE(std::isnan(value)) << name;
      } else {
        EXPECT_NEAR(value, item.at(name).get<double>(), 1e-12) << name;
      }
    }
  }
}

TEST(LabelScores, NanGivesNan) {
  const Numbers x{1, std::numeric_limits<double>::quiet_NaN(), 2}, y{1, 2, 3};
  EXPECT_TRUE(std::isnan(pearson(x, y)));
  EXPECT_TRUE(std::isnan(spearman(y, x)));
}

TEST(LabelScores, BadInputIsOneSentence) {
  const Labels none, one{"1"}, two{"1", "0"}, three{"a", "b", "c"}, ab{"a", "b"};
  const Numbers number{1};
  const auto expect = [](std::string_view message, auto action) {
    lowrank::test::expect_error(ErrorKind::invalid, std::string(message), "", action);
  };
  expect("there are no labels to score", [&] { accuracy(none, none); });
  expect("1 predictions for 2 labels", [&] { matthews(one, two); });
  expect("F1 is of one of two labels, and there are 3", [&] { f1(three, three); });
  expect("the labels are \"a\" and \"b\", neither of which is the positive label \"1\"", [&] { f1(ab, ab); });
  expect("a correlation needs at least two numbers, and there are 1", [&] { pearson(number, number); });
  expect("0 tokens have no perplexity", [&] { perplexity(1, 0); });
}

TEST(LabelScores, PerplexityIsOfTheMean) {
  EXPECT_DOUBLE_EQ(perplexity(20 * std::log(7.0), 20), 7.0);
  EXPECT_EQ(perplexity(0, 3), 1.0);
  EXPECT_TRUE(std::isinf(perplexity(1e6, 1)));
}

}  // namespace
}  // namespace lowrank::metrics
