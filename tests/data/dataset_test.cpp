#include "data/dataset.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "data/order/epoch_order.h"
#include "data/split.h"
#include "data/training_batch.h"
#include "support/text_fixtures.h"

namespace lowrank::test {
namespace {

using Ids = std::vector<int64_t>;

Ids joined(std::initializer_list<Ids> parts) {
  Ids all;
  for (const Ids& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Row prompt_row(const std::string& prompt, const std::string& completion) {
  Row row;
  row.format = RowFormat::prompt_completion;
  row.prompt = prompt;
  row.completion = completion;
  return row;
}

Row text_row(const std::string& text) {
  Row row;
  row.format = RowFormat::text;
  row.completion = text;
  return row;
}

Example encoded(const Tokenizer& tokenizer, const Row& row, int64_t max_length = 0) {
  RowNotes notes;
  return encode_row(tokenizer, row, max_length, notes);
}

Dataset dataset_of(std::string_view text, const Tokenizer* tokenizer, int64_t max_length = 0,
                   int64_t vocabulary = 1000) {
  const Scratch scratch;
  return load_dataset(scratch.write("rows.jsonl", text), tokenizer, vocabulary, {"", {}, max_length});
}

TEST(EncodeRow, PromptAndCompletionAreTokenisedApart) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("gpt2_small"));
  const Ids prompt = tokenizer.encode("The rest", false);
  const Ids completion = tokenizer.encode("aurant", false);
  ASSERT_NE(joined({prompt, completion}), tokenizer.encode("The restaurant", false));
  const Example example = encoded(tokenizer, prompt_row("The rest", "aurant"));
  EXPECT_EQ(example.tokens, joined({prompt, completion, {0}}));
  EXPECT_EQ(example.labels, joined({Ids(prompt.size(), no_target), completion, {0}}));
  EXPECT_EQ(example.targets(), static_cast<int64_t>(completion.size()) + 1);
}

TEST(EncodeRow, BosStandsInFrontWhereThePostProcessorPutsOne) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("options_small"));
  const int64_t bos = tokenizer.spec().bos.value();
  const int64_t eos = tokenizer.spec().eos.value();
  ASSERT_EQ(tokenizer.encode("", true), (Ids{bos, eos}));
  const Example example = encoded(tokenizer, prompt_row("food", "good"));
  EXPECT_EQ(example.tokens.front(), bos);
  EXPECT_EQ(std::ranges::count(example.tokens, bos), 1);
  EXPECT_EQ(std::ranges::count(example.tokens, eos), 1);
  EXPECT_EQ(example.tokens.back(), eos);
  EXPECT_EQ(example.labels.front(), no_target);
}

TEST(EncodeRow, TextIsAllTarget) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("gpt2_small"));
  const Example example = encoded(tokenizer, text_row("good food"));
  EXPECT_EQ(example.tokens, joined({tokenizer.encode("good food", false), {0}}));
  EXPECT_EQ(example.labels, example.tokens);
  // Nothing predicts the first token.
  EXPECT_EQ(example.targets(), static_cast<int64_t>(example.tokens.size()) - 1);
}

TEST(EncodeRow, AnEmptyCompletionTeachesTheEnd) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("gpt2_small"));
  EXPECT_EQ(encoded(tokenizer, prompt_row("a", "")).targets(), 1);
}

TEST(EncodeRow, NoBeginningAndNoEndStandsTwice) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("options_small"));
  const int64_t bos = tokenizer.spec().bos.value();
  const int64_t eos = tokenizer.spec().eos.value();
  const std::string first = tokenizer.decode({&bos, 1}, false);
  const std::string last = tokenizer.decode({&eos, 1}, false);
  const Ids plain = encoded(tokenizer, text_row("good")).tokens;
  RowNotes notes;
  for (const std::string& text : {first + "good", "good" + last, fmt::format("{}good{}", first, last)})
    EXPECT_EQ(encode_row(tokenizer, text_row(text), 0, notes).tokens, plain) << text;
  EXPECT_EQ(encode_row(tokenizer, text_row("good"), 0, notes).tokens, plain);
  EXPECT_EQ(notes.begun, 2);
  EXPECT_EQ(notes.closed, 2);
  EXPECT_EQ(notes.warnings().size(), 2U);
  const Ids prompt = encode_prompt(tokenizer, "food");
  EXPECT_EQ(encode_prompt(tokenizer, first + "food"), prompt);
  const Example row = encode_row(tokenizer, prompt_row(first + "food", "good" + last), 0, notes);
  EXPECT_EQ(std::ranges::count(row.tokens, bos), 1);
  EXPECT_EQ(std::ranges::count(row.tokens, eos), 1);
}

TEST(EncodeRow, ATurnsEndIsAnEnd) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("smollm_small.gguf"));  // its eos is <|im_end|>
  const int64_t text_end = tokenizer.encode("<|endoftext|>", false).front();
  ASSERT_NE(text_end, tokenizer.spec().eos);
  EXPECT_EQ(encoded(tokenizer, prompt_row("a", "b<|endoftext|>")).tokens.back(), text_end);
  const Ids with_line = encoded(tokenizer, prompt_row("a", "b<|im_end|>\n")).tokens;
  EXPECT_EQ(std::ranges::count(with_line, *tokenizer.spec().eos), 1);
}

TEST(EncodeRow, EmptyCompletionsAreCounted) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("gpt2_small"));
  RowNotes notes;
  encode_row(tokenizer, prompt_row("a", ""), 0, notes);
  encode_row(tokenizer, prompt_row("a", "b"), 0, notes);
  EXPECT_EQ(notes.empty, 1);
  ASSERT_EQ(notes.warnings().size(), 1U);
  EXPECT_NE(notes.warnings()[0].find("1 of 2 rows has an empty completion"), std::string::npos);
}

TEST(EncodeRow, ALimitKeepsTheFirstTokens) {
  const std::string text = "The rest of the food <x> was good and cheap\n" + std::string(400'000, ' ') + "x";
  for (const char* name : {"gpt2_small", "llama2_small", "options_small", "bert_small"}) {
    const Tokenizer tokenizer = load_tokenizer(text_fixture(name));
    for (const Row& row : {text_row(text), prompt_row("The rest", text)}) {
      const Example all = encoded(tokenizer, row);
      EXPECT_EQ(all.length, 0);
      for (const int64_t limit : {1, 2, 5, 13}) {
        const Example cut = encoded(tokenizer, row, limit);
        EXPECT_EQ(cut.tokens, Ids(all.tokens.begin(), all.tokens.begin() + limit)) << name;
        EXPECT_EQ(cut.labels, Ids(all.labels.begin(), all.labels.begin() + limit)) << name;
        EXPECT_EQ(cut.length, std::ssize(all.tokens)) << name;
      }
    }
  }
}

TEST(LoadDataset, CutsLongRowsAndCountsWhatIsLost) {
  const std::string text = R"({"input_ids":[1,2,3,4],"labels":[-100,-100,3,4]})"
                           "\n"
                           R"({"input_ids":[1,2,3],"labels":[-100,2,3]})"
                           "\n"
                           R"({"input_ids":[5,6,7],"labels":[-100,-100,7]})"
                           "\n"
                           R"({"input_ids":[8],"labels":[8]})"
                           "\n"
                           R"({"input_ids":[],"labels":[]})"
                           "\n"
                           R"({"input_ids":[8,9],"labels":[8,-100]})"
                           "\n";
  const Dataset all = dataset_of(text, nullptr);
  EXPECT_EQ(all.examples.size(), 3U);
  EXPECT_EQ(all.truncated, 0);
  EXPECT_EQ(all.skipped, 3);
  EXPECT_EQ(all.tokens(), 10);
  const Dataset cut = dataset_of(text, nullptr, 2);
  EXPECT_EQ(cut.truncated, 1);
  EXPECT_EQ(cut.skipped, 5);
  EXPECT_EQ(cut.cut_off, 2);
  ASSERT_EQ(cut.truncated_rows.size(), 1U);
  ASSERT_EQ(cut.skipped_rows.size(), 5U);
  EXPECT_TRUE(cut.truncated_rows[0].ends_with(":2")) << cut.truncated_rows[0];
  EXPECT_EQ(cut.cut_tokens, 3);
  EXPECT_EQ(cut.lost_tokens, 1);
  ASSERT_EQ(cut.examples.size(), 1U);
  EXPECT_EQ(cut.examples[0].tokens, (Ids{1, 2}));
  EXPECT_EQ(cut.examples[0].line, 2);
}

TEST(LoadDataset, RowsWithoutTargetsAreAnErrorTogether) {
  expect_failure(ErrorKind::invalid,
                 "none of the 2 rows has a target token (`max_length` cuts the completions off)", [] {
                   dataset_of(R"({"input_ids":[1,2,3],"labels":[-100,-100,3]})"
                              "\n"
                              R"({"input_ids":[1,2],"labels":[-100,-100]})",
                              nullptr, 2);
                 });
}

TEST(LoadDataset, ARowWithoutTargetsIsShown) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("gpt2_small"));
  const std::string rows = R"({"prompt":"The food was good","completion":" x"})"
                           "\n"
                           R"({"prompt":"good and cheap","completion":" x"})";
  expect_failure(ErrorKind::invalid, "rows.jsonl:1, reads \"The food",
                 [&] { dataset_of(rows, &tokenizer, 4); });
  expect_failure(ErrorKind::invalid, "rows.jsonl:1, has the ids 1 2",
                 [] { dataset_of(R"({"input_ids":[1,2],"labels":[-100,-100]})", nullptr); });
  expect_failure(ErrorKind::invalid, "rows.jsonl:1, is empty",
                 [] { dataset_of(R"({"input_ids":[]})", nullptr); });
}

TEST(LoadDataset, LongRowsAreCutDroppedOrRefused) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("gpt2_small"));
  const std::string text = "the food was good and cheap";
  for (const auto& [rows, name] : std::vector<std::pair<std::string, std::string>>{
           {"{\"input_ids\":[1,2,3]}\n{\"input_ids\":[1,2]}\n{\"input_ids\":[1,2,3,4]}", "tokenised"},
           {fmt::format("{{\"text\":\"{0}\"}}\n{{\"text\":\"a\"}}\n{{\"text\":\"{0}\"}}", text), "text"},
           {fmt::format(
                "{{\"prompt\":\"\",\"completion\":\"{0}\"}}\n{{\"prompt\":\"\",\"completion\":\"a\"}}\n"
                "{{\"prompt\":\"\",\"completion\":\"{0}\"}}",
                text),
            "prompt"}}) {
    SCOPED_TRACE(name);
    const Scratch scratch;
    const auto path = scratch.write("rows.jsonl", rows);
    DatasetOptions options;
    options.max_length = 2;
    const Dataset cut = load_dataset(path, &tokenizer, 1000, options);
    EXPECT_EQ(cut.examples.size(), 3U);
    EXPECT_EQ(cut.truncated, 2);
    EXPECT_EQ(cut.format, name);
    options.on_long = OnLong::drop;
    const Dataset dropped = load_dataset(path, &tokenizer, 1000, options);
    ASSERT_EQ(dropped.examples.size(), 1U);
    EXPECT_EQ(dropped.examples[0].line, 2);
    EXPECT_EQ(dropped.dropped, 2);
    EXPECT_EQ(dropped.truncated, 0);
    options.on_long = OnLong::error;
    expect_failure(ErrorKind::invalid, "more than the limit of 2; `on_long` truncate",
                   [&] { load_dataset(path, &tokenizer, 1000, options); });
    options.max_length = 1;
    options.on_long = OnLong::drop;
    expect_failure(ErrorKind::invalid, "all 3 rows have more than 1 tokens, and `on_long` drop",
                   [&] { load_dataset(path, &tokenizer, 1000, options); });
  }
  EXPECT_EQ(on_long_named("drop"), OnLong::drop);
  expect_failure(ErrorKind::invalid, "`on_long` 'split' is not known", [] { on_long_named("split"); });
}

TEST(LoadDataset, ThePromptIsLearnedIfAllIs) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("gpt2_small"));
  const Scratch scratch;
  const auto path = scratch.write("rows.jsonl", R"({"prompt":"The food","completion":" good"})");
  DatasetOptions options;
  const Example answer = load_dataset(path, &tokenizer, 1000, options).examples.front();
  options.train_on = TrainOn::all;
  const Example all = load_dataset(path, &tokenizer, 1000, options).examples.front();
  EXPECT_EQ(all.tokens, answer.tokens);
  EXPECT_EQ(all.labels, all.tokens);
  EXPECT_LT(answer.targets(), all.targets());
  for (const auto& [rows, train_on] : std::vector<std::pair<const char*, TrainOn>>{
           {R"({"input_ids":[1,2]})", TrainOn::all}, {R"({"text":"a"})", TrainOn::last}}) {
    options.train_on = train_on;
    const auto other = scratch.write("other.jsonl", rows);
    expect_failure(ErrorKind::invalid, "`train_on` is for conversations",
                   [&] { load_dataset(other, &tokenizer, 1000, options); });
  }
}

TEST(LoadDataset, ConversationsNeedATemplate) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("gpt2_small"));
  expect_failure(ErrorKind::unsupported, "rows.jsonl:1: the row is a conversation", [&] {
    dataset_of(R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})",
               &tokenizer);
  });
}

TEST(LoadDataset, IdsMustFitTheModel) {
  const std::string row = R"({"input_ids":[1,2]})";
  for (const auto& [bad, part] : std::vector<std::pair<std::string, std::string>>{
           {R"({"input_ids":[1,1000]})", "rows.jsonl:2: token 1000"},
           {R"({"input_ids":[1,-1]})", "rows.jsonl:2: token -1"},
           {R"({"input_ids":[1,-100]})", "rows.jsonl:2: token -100"},
           {R"({"input_ids":[1,2],"labels":[1,-5]})", "its label -5"}}) {
    const std::string text = fmt::format("{}\n{}", row, bad);
    expect_failure(ErrorKind::invalid, part, [&] { dataset_of(text, nullptr); });
  }
}

TEST(LoadDataset, TextNeedsATokenizer) {
  expect_failure(ErrorKind::invalid, "rows.jsonl:1: text rows need a tokenizer",
                 [] { dataset_of(R"({"text":"a"})", nullptr); });
}

TEST(MakeBatch, LaysSequencesEndToEndAndShiftsTargets) {
  const std::vector<Example> examples = {{{1, 2, 3}, {no_target, 2, 3}, 1},
                                         {{4, 5}, {4, 5}, 2},
                                         {{6, 7, 8, 9}, {no_target, no_target, 8, no_target}, 3}};
  const Ids indices = {2, 0, 1};
  const Batch batch = make_batch(examples, indices);
  EXPECT_EQ(batch.tokens, (Ids{6, 7, 8, 9, 1, 2, 3, 4, 5}));
  EXPECT_EQ(batch.positions, (Ids{0, 1, 2, 3, 0, 1, 2, 0, 1}));
  EXPECT_EQ(batch.offsets, (Ids{0, 4, 7, 9}));
  EXPECT_EQ(batch.targets.rows, (Ids{1, 4, 5, 7}));
  EXPECT_EQ(batch.targets.tokens, (Ids{8, 2, 3, 5}));
  EXPECT_EQ(batch.targets.weights, (std::vector<float>{1, 1, 1, 1}));
  EXPECT_EQ(batch.examples, indices);
  EXPECT_EQ(batch.sequences(), 3);
}

TEST(MakeBatch, OfNothingIsEmpty) {
  const Batch batch = make_batch({}, {});
  EXPECT_EQ(batch.token_count(), 0);
  EXPECT_EQ(batch.sequences(), 0);
}

// The order is part of what a seed means: a run repeated with a later version must see the same rows.
TEST(EpochOrder, IsPinned) {
  EXPECT_EQ(epoch_order(8, 42, 0, true), (Ids{3, 1, 6, 2, 5, 7, 4, 0}));
}

TEST(EpochOrder, IsAPermutationOfSeedAndEpoch) {
  const Ids plain = epoch_order(100, 1, 0, false);
  const Ids first = epoch_order(100, 1, 0, true);
  EXPECT_TRUE(std::ranges::is_sorted(plain));
  EXPECT_TRUE(std::ranges::is_permutation(first, plain));
  EXPECT_EQ(first, epoch_order(100, 1, 0, true));
  EXPECT_NE(first, epoch_order(100, 1, 1, true));
  EXPECT_NE(first, epoch_order(100, 2, 0, true));
  EXPECT_TRUE(epoch_order(0, 1, 0, true).empty());
}

Dataset numbered(int64_t count) {
  Dataset dataset;
  std::vector<Example> examples;
  for (int64_t i = 0; i < count; ++i) examples.push_back({{i, i}, {i, i}, i + 1});
  dataset.examples = examples;
  return dataset;
}

TEST(SplitDataset, PartsAreDisjointAndInTheFilesOrder) {
  const auto [training, evaluation] = split_dataset(numbered(50), 0.1, 3);
  EXPECT_EQ(training.examples.size(), 45U);
  ASSERT_EQ(evaluation.examples.size(), 5U);
  EXPECT_TRUE(std::ranges::is_sorted(training.examples, {}, &Example::line));
  EXPECT_TRUE(std::ranges::is_sorted(evaluation.examples, {}, &Example::line));
  std::set<int64_t> lines;
  for (const auto* part : {&training, &evaluation}) {
    for (const Example& example : part->examples) lines.insert(example.line);
  }
  EXPECT_EQ(lines.size(), 50U);
  const auto again = split_dataset(numbered(50), 0.1, 3);
  EXPECT_TRUE(
      std::ranges::equal(evaluation.examples, again.second.examples, {}, &Example::line, &Example::line));
  const auto other = split_dataset(numbered(50), 0.1, 4);
  EXPECT_FALSE(
      std::ranges::equal(evaluation.examples, other.second.examples, {}, &Example::line, &Example::line));
}

TEST(SplitDataset, BothPartsNeedRows) {
  for (const double share : {0.0, -0.5, 0.01, 1.0, 2.0, 1e300, std::nan("")}) {
    expect_failure(ErrorKind::invalid, "`eval_split`", [&] { split_dataset(numbered(10), share, 1); });
  }
}

}  // namespace
}  // namespace lowrank::test
