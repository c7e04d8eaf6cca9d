// The library as its users see it: only <lowrank/lowrank.h>.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <lowrank/lowrank.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

namespace {

namespace fs = std::filesystem;
using lowrank::Error;
using lowrank::ErrorKind;

class LibrarySession : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("lowrank-library-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    std::ofstream rows(folder_ / "rows.jsonl");
    for (int i = 1; i < 9; ++i)
      rows << R"({"input_ids": [5, )" << i << R"(, 7, )" << i << R"(, 9, )" << i << "]}\n";
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string model() { return LOWRANK_FIXTURES "/tiny_llama/linear"; }
  static lowrank::Session open() { return lowrank::Session(model(), {{"dtype", "f32"}}); }
  std::string rows() const { return (folder_ / "rows.jsonl").string(); }

  template <class Work>
  static std::string error_of(ErrorKind kind, Work&& work) {
    try {
      work();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "no error";
    return {};
  }

  fs::path folder_;
};

TEST_F(LibrarySession, TrainsEvaluatesSavesMerges) {
  lowrank::Session session = open();
  EXPECT_EQ(session.model().family, "llama");
  EXPECT_EQ(session.model().task, "causal_lm");
  const double base = session.evaluate({{"data", rows()}}).loss;
  int64_t seen = 0;
  lowrank::TrainingControl control;
  control.after_step = [&](const lowrank::TrainingStep& step) {
    EXPECT_EQ(step.step, ++seen);
    EXPECT_EQ(step.total_steps, 20);
  };
  const lowrank::TrainingSummary run = session.train(
      "mine", {{"data", rows()}, {"steps", 20}, {"lr", 0.01}, {"target_modules", "all-linear"}}, control);
  EXPECT_EQ(seen, 20);
  EXPECT_EQ(run.steps, 20);
  EXPECT_EQ(run.output, "");
  ASSERT_EQ(session.adapters().size(), 1U);
  EXPECT_EQ(session.adapters()[0].method, "lora");
  const double trained = session.evaluate({{"data", rows()}, {"adapter", "mine"}}).loss;
  EXPECT_LT(trained, base - 0.1);
  EXPECT_EQ(session.evaluate({{"data", rows()}}).loss, base) << "the base alone is as before";

  session.save("mine", (folder_ / "adapter").string());
  session.attach("again", (folder_ / "adapter").string());
  EXPECT_EQ(session.evaluate({{"data", rows()}, {"adapter", "again"}}).loss, trained);

  const lowrank::MergeSummary merged = session.merge("mine", (folder_ / "merged").string());
  EXPECT_GT(merged.changed_tensors, 0);
  EXPECT_LT(merged.largest_logit_difference.value(), 1e-4);
  lowrank::Session whole((folder_ / "merged").string(), {{"dtype", "f32"}});
  EXPECT_NEAR(whole.evaluate({{"data", rows()}}).loss, trained, 1e-5);
  session.detach("again");
  EXPECT_EQ(session.adapters().size(), 1U);
}

TEST_F(LibrarySession, AMethodThatReplacesWeightsHasAModelOfItsOwn) {
  lowrank::Session session = open();
  const double base = session.evaluate({{"data", rows()}}).loss;
  session.train("norms", {{"data", rows()}, {"method", "layer_norm"}, {"steps", 10}, {"lr", 0.05}});
  EXPECT_LT(session.evaluate({{"data", rows()}, {"adapter", "norms"}}).loss, base);
  EXPECT_EQ(session.evaluate({{"data", rows()}}).loss, base);
}

TEST_F(LibrarySession, WrongUseIsASentence) {
  EXPECT_NE(error_of(ErrorKind::not_found, [] { lowrank::Session("no/such/model"); }).find("no/such/model"),
            std::string::npos);
  EXPECT_NE(error_of(ErrorKind::invalid,
                     [] {
                       lowrank::Session(model(), {{"dtipe", "f32"}});
                     })
                .find("dtype"),
            std::string::npos);
  lowrank::Session session = open();
  const std::string two = error_of(ErrorKind::invalid, [&] {
    session.train("mine", {{"data", rows()}, {"rnak", 4}, {"stepss", 3}});
  });
  EXPECT_NE(two.find("rank"), std::string::npos) << two;
  EXPECT_NE(two.find("steps"), std::string::npos) << two;
  error_of(ErrorKind::invalid, [&] { session.train("mine", {{"steps", 3}}); });
  error_of(ErrorKind::not_found, [&] { session.evaluate({{"data", rows()}, {"adapter", "absent"}}); });
  error_of(ErrorKind::not_found, [&] { session.detach("absent"); });
  error_of(ErrorKind::invalid, [&] { session.train("whole", {{"data", rows()}, {"method", "full"}}); });
  error_of(ErrorKind::invalid, [] { lowrank::Options::from_json("[1]"); });
}

TEST_F(LibrarySession, StopsOnRequest) {
  lowrank::Session session = open();
  std::stop_source stop;
  lowrank::TrainingControl control;
  int64_t steps = 0;
  control.stop = stop.get_token();
  control.after_step = [&](const lowrank::TrainingStep& step) {
    steps = step.step;
    if (step.step == 3) stop.request_stop();
  };
  error_of(ErrorKind::interrupted, [&] {
    session.train("mine", {{"data", rows()}, {"steps", 50}}, control);
  });
  EXPECT_EQ(steps, 3);
  EXPECT_TRUE(session.adapters().empty());
  session.train("mine", {{"data", rows()}, {"steps", 2}});  // the token ended only its own call
}

TEST_F(LibrarySession, TwoSessionsInTwoThreads) {
  std::vector<double> losses(2);
  const auto work = [&](size_t i) {
    lowrank::Session session = open();
    session.train("mine", {{"data", rows()}, {"steps", 10}, {"seed", 1}});
    losses[i] = session.evaluate({{"data", rows()}, {"adapter", "mine"}}).loss;
  };
  std::thread first(work, 0), second(work, 1);
  first.join();
  second.join();
  EXPECT_EQ(losses[0], losses[1]);
}

TEST_F(LibrarySession, LogsWhereItIsTold) {
  std::vector<std::string> lines;
  lowrank::set_log([&](bool, std::string_view line) { lines.emplace_back(line); });
  open().train("mine", {{"data", rows()}, {"steps", 1}});
  lowrank::set_log({});
  EXPECT_FALSE(lines.empty());
}

TEST(Library, ListsMethodsAndVersion) {
  EXPECT_EQ(lowrank::version(), std::to_string(LOWRANK_VERSION_MAJOR) + "." +
                                    std::to_string(LOWRANK_VERSION_MINOR) + "." +
                                    std::to_string(LOWRANK_VERSION_PATCH));
  bool found = false;
  for (const lowrank::MethodDescription& method : lowrank::list_methods()) found |= method.name == "lora";
  EXPECT_TRUE(found);
}

TEST(Library, OptionsAsJson) {
  const lowrank::Options options{{"steps", 3},
                                 {"lr", 0.5},
                                 {"data", "a\"b"},
                                 {"shuffle", false},
                                 {"stop", std::vector<std::string>{"x", "y"}}};
  EXPECT_EQ(options.json(), R"({"data":"a\"b","lr":0.5,"shuffle":false,"steps":3,"stop":["x","y"]})");
  EXPECT_EQ(lowrank::Options::from_json(R"({"a": 1, "b": [2]})").json(), R"({"a":1,"b":[2]})");
}

TEST_F(LibrarySession, ChatAsksThroughTheTemplate) {
  const fs::path speaking = folder_ / "speaking";
  fs::copy(model(), speaking);
  fs::copy(LOWRANK_FIXTURES "/letters/tokenizer.json", speaking);
  std::ofstream(folder_ / "template.jinja") << "{% for m in messages %}{{ m.content + ' so' }}{% endfor %}";
  lowrank::Session session(speaking.string(), {{"dtype", "f32"}});
  const lowrank::Options short_one{{"max_new_tokens", 5}};
  const std::string through = session
                                  .generate("cat", {{"max_new_tokens", 5},
                                                    {"chat", true},
                                                    {"chat_template", (folder_ / "template.jinja").string()}})
                                  .text;
  EXPECT_EQ(through, session.generate("cat so", short_one).text);
  EXPECT_NE(through, session.generate("cat", short_one).text);
  const auto asks = [&](const lowrank::Options& options) {
    return [&session, options] { session.generate("cat", options); };
  };
  EXPECT_NE(error_of(ErrorKind::unsupported, asks({{"chat", true}})).find("no chat template"),
            std::string::npos);
  EXPECT_NE(error_of(ErrorKind::invalid, asks({{"system", "x"}})).find("`system` needs `chat`"),
            std::string::npos);
}

}  // namespace
