#include "data/labels.h"

#include "data/dataset.h"
#include "support/text_fixtures.h"

namespace lowrank::test {
namespace {

LabelSet labels_in(std::string_view rows, Labelling labelling = Labelling::automatic) {
  const Scratch scratch;
  return read_labels(scratch.write("rows.jsonl", rows), {}, labelling);
}

using Names = std::vector<std::string>;

TEST(Labels, NumbersAreClassesInNumericalOrderAndNamesInAlphabetical) {
  EXPECT_EQ(
      labels_in(
          "{\"text\":\"a\",\"label\":10}\n{\"text\":\"b\",\"label\":9}\n{\"text\":\"c\",\"label\":\"0\"}")
          .names,
      (Names{"0", "9", "10"}));
  EXPECT_EQ(labels_in("{\"text\":\"a\",\"label\":\"yes\"}\n{\"text\":\"b\",\"label\":\"no\"}").names,
            (Names{"no", "yes"}));
  EXPECT_EQ(labels_in("{\"text\":\"a\",\"label\":1.0}\n{\"text\":\"b\",\"label\":0.0}").names,
            (Names{"0", "1"}));
  EXPECT_EQ(labels_in("{\"text\":\"a\",\"label\":true}\n{\"text\":\"b\",\"label\":false}").names,
            (Names{"false", "true"}));
}

TEST(Labels, AFractionMakesThemValuesAndTheTaskDecidesOtherwise) {
  constexpr const char* fractions = "{\"text\":\"a\",\"label\":2.5}\n{\"text\":\"b\",\"label\":5.0}";
  EXPECT_FALSE(labels_in(fractions).has_classes());
  EXPECT_EQ(labels_in(fractions, Labelling::classes).names, (Names{"2.5", "5"}));
  EXPECT_FALSE(labels_in("{\"text\":\"a\",\"label\":2}\n{\"text\":\"b\",\"label\":5}", Labelling::values)
                   .has_classes());
  message_of(ErrorKind::invalid, [] { labels_in("{\"text\":\"a\",\"label\":\"x\"}", Labelling::values); });
}

TEST(Labels, OneLabelAloneOrTooManyAreRefused) {
  const std::string one = message_of(
      ErrorKind::invalid, [] { labels_in("{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\",\"label\":1}"); });
  EXPECT_NE(one.find("all rows have the label '1'"), std::string::npos) << one;
  std::string rows;
  for (int i = 0; i < 1001; ++i) rows += "{\"text\":\"a\",\"label\":" + std::to_string(i) + "}\n";
  const std::string many = message_of(ErrorKind::invalid, [&] { labels_in(rows); });
  EXPECT_NE(many.find("`task` regression"), std::string::npos) << many;
}

TEST(Labels, AClassIsFoundByItsNameOrByItsNumberWhereNoNameIsANumber) {
  const LabelSet named{{"no", "yes"}};
  EXPECT_EQ(named.value_of("yes", "here"), 1);
  EXPECT_EQ(named.value_of("0", "here"), 0);
  const LabelSet stars{{"1", "2", "3"}};
  EXPECT_EQ(stars.value_of("3", "here"), 2);
  for (const auto& [labels, text] : {std::pair(named, "2"), std::pair(named, "Yes"), std::pair(stars, "0")}) {
    const std::string message = message_of(ErrorKind::invalid, [&] { labels.value_of(text, "here"); });
    EXPECT_NE(message.find("here: the label '" + std::string(text) + "' is none of the classes"),
              std::string::npos);
  }
  EXPECT_EQ(LabelSet().value_of("-2.5", "here"), -2.5);
  message_of(ErrorKind::invalid, [] { LabelSet().value_of("nan", "here"); });
}

TEST(Labels, BatchesHoldOneTargetASequence) {
  const std::vector<Example> examples{{{5, 6, 7}, {}, 1, 2.0}, {{8}, {}, 2, 0.5}};
  const std::vector<int64_t> indices{1, 0};
  const Batch batch = make_batch(examples, indices);
  EXPECT_EQ(batch.targets.values, (std::vector<float>{0.5F, 2.0F}));
  EXPECT_EQ(batch.targets.count(), 2);
  EXPECT_TRUE(batch.targets.rows.empty());
  EXPECT_EQ(examples[0].targets(), 1);
}

}  // namespace
}  // namespace lowrank::test
