#include "data/labels.h"

#include "data/dataset.h"
#include "data/training_batch.h"
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
  for (const auto& of : {std::pair(named, "2"), std::pair(named, "Yes"), std::pair(stars, "0")}) {
    const std::string message = message_of(ErrorKind::invalid, [&] { of.first.value_of(of.second, "here"); });
    EXPECT_NE(message.find("here: the label '" + std::string(of.second) + "' is none of the classes"),
              std::string::npos);
  }
  EXPECT_EQ(LabelSet().value_of("-2.5", "here"), -2.5);
  message_of(ErrorKind::invalid, [] { LabelSet().value_of("nan", "here"); });
}

TEST(Labels, AListMakesThemSeveral) {
  constexpr const char* rows =
      "{\"text\":\"a\",\"label\":[\"red\",\"big\"]}\n{\"text\":\"b\",\"label\":[]}\n"
      "{\"text\":\"c\",\"label\":\"old\"}";
  const LabelSet labels = labels_in(rows);
  EXPECT_TRUE(labels.several);
  EXPECT_EQ(labels.names, (Names{"big", "old", "red"}));
  EXPECT_EQ(labels.classes_of(Names{"red", "big", "red"}, "here"), (std::vector<int64_t>{0, 2}));
  EXPECT_TRUE(labels.classes_of({}, "here").empty());
  expect_failure(ErrorKind::invalid, "here: the label 'x' is none of the classes",
                 [&] { labels.classes_of(Names{"x"}, "here"); });
  EXPECT_FALSE(labels_in("{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\",\"label\":0}").several);
  expect_failure(ErrorKind::invalid, "`task` regression needs a number",
                 [] { labels_in("{\"text\":\"a\",\"label\":[1]}", Labelling::values); });
  expect_failure(ErrorKind::invalid, "an empty list of labels",
                 [] { labels_in("{\"text\":\"a\",\"label\":[]}"); });
  expect_failure(ErrorKind::invalid, "must be a string or a number",
                 [] { labels_in("{\"text\":\"a\",\"label\":[[1]]}"); });
}

Dataset labelled(std::string_view rows, const Tokenizer& tokenizer, const LabelSet& labels, int64_t longest) {
  const Scratch scratch;
  DatasetOptions options;
  options.labels = labels;
  options.max_length = longest;
  return load_dataset(scratch.write("rows.jsonl", rows), &tokenizer, 1000, options);
}

TEST(Labels, RowsMayHaveTwoTextsAndSeveralLabels) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("t5_small"));
  const LabelSet labels{{"big", "old", "red"}, true};
  for (const char* rows :
       {"{\"sentence1\":\"hello world\",\"sentence2\":\"Hello, World!\",\"label\":[\"red\",\"big\"]}",
        "{\"text\":\"hello world\",\"text_pair\":\"Hello, World!\",\"label\":[\"red\",\"big\"]}"}) {
    const Dataset dataset = labelled(rows, tokenizer, labels, 15);
    const std::vector<Example> examples = dataset.examples.at(std::vector<int64_t>{0});
    const Tokenizer::Pair pair = tokenizer.encode_pair("hello world", "Hello, World!", 15);
    EXPECT_EQ(examples[0].tokens, pair.ids);
    EXPECT_EQ(examples[0].type_one_tokens, 8);
    EXPECT_EQ(examples[0].classes, (std::vector<int64_t>{0, 2}));
    EXPECT_EQ(examples[0].length, pair.length);
    EXPECT_EQ(examples[0].targets(), 1);
    const Batch batch = make_batch(examples, std::vector<int64_t>{0});
    EXPECT_EQ(batch.type_one_tokens, (std::vector<int64_t>{8}));
    EXPECT_EQ(batch.targets.classes, (std::vector<std::vector<int64_t>>{{0, 2}}));
    EXPECT_EQ(batch.targets.count(), 1);
  }
  const Dataset one =
      labelled("{\"text\":\"a\",\"label\":\"old\"}\n{\"text\":\"a\",\"label\":[]}", tokenizer, labels, 0);
  const std::vector<Example> examples = one.examples.at(std::vector<int64_t>{0, 1});
  EXPECT_EQ(examples[0].classes, (std::vector<int64_t>{1}));
  EXPECT_TRUE(examples[1].classes.empty());
  EXPECT_EQ(examples[1].label, 0.0);
  expect_failure(ErrorKind::invalid, "a list of labels, where each text has one", [&] {
    labelled("{\"text\":\"a\",\"label\":[\"red\"]}", tokenizer, LabelSet{{"red", "blue"}}, 0);
  });
  expect_failure(ErrorKind::invalid, "the row has no \"sentence2\"",
                 [&] { labelled("{\"sentence1\":\"a\",\"label\":\"red\"}", tokenizer, labels, 0); });
  const Tokenizer gpt = load_tokenizer(text_fixture("gpt2_small"));
  expect_failure(ErrorKind::unsupported, "no template for pairs of texts", [&] {
    labelled("{\"sentence1\":\"a\",\"sentence2\":\"b\",\"label\":\"red\"}", gpt, labels, 0);
  });
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
