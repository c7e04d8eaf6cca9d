// Texts for an encoder: batches with other work between them, and what ends them early.
#include "serve/encoder_answer.h"

#include <stdexcept>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "serve/api/refusal.h"

namespace lowrank::serve {
namespace {

/// Keeps what it is told; what is posted runs at once.
class KeptExchange final : public Exchange {
 public:
  void answer(HttpResponse response) override { answers.push_back(std::move(response)); }
  void begin(HttpResponse) override {}
  void send(std::string) override {}
  void end() override {}
  void post(std::function<void()> work) override { work(); }
  void on_gone(std::function<void()> work) override { leave = std::move(work); }
  void set_note(std::string text) override { note = std::move(text); }

  std::vector<HttpResponse> answers;
  std::function<void()> leave;
  std::string note;
};

class EncoderAnswers : public testing::Test {
 protected:
  /// The i-th text has the token i, which is its value, too.
  EncoderPlan plan() {
    EncoderPlan made;
    for (int64_t i = 0; i < 70; ++i) made.ids.push_back({i});
    made.compute = [this](const std::vector<std::vector<int64_t>>& ids) {
      log += fmt::format("{} ", ids.size());
      if (during) during();
      std::vector<float> values;
      for (const auto& text : ids) values.push_back(static_cast<float>(text.front()));
      return values;
    };
    made.body = [](const std::vector<float>& values) {
      std::string text;
      for (const float value : values) text += fmt::format("{} ", value);
      return text;
    };
    return made;
  }

  void run() {
    std::make_shared<EncoderAnswer>(plan(), exchange, loop)->start();
    loop.post([this] { log += "other "; });
    loop.finish(600);
    loop.run();
  }

  int status() const { return exchange->answers.size() == 1 ? exchange->answers[0].status : 0; }

  std::shared_ptr<KeptExchange> exchange = std::make_shared<KeptExchange>();
  ModelLoop loop{nullptr, 8};
  std::function<void()> during;
  std::string log;
};

TEST_F(EncoderAnswers, OtherWorkIsDoneBetweenBatches) {
  run();
  EXPECT_EQ(log, "32 other 32 6 ");
  ASSERT_EQ(status(), 200);
  std::string expected;
  for (int i = 0; i < 70; ++i) expected += fmt::format("{} ", i);
  EXPECT_EQ(exchange->answers[0].body, expected);
  EXPECT_EQ(exchange->note, "70 tokens");
}

TEST_F(EncoderAnswers, AClientThatLeavesEndsThem) {
  during = [this] { exchange->leave(); };
  run();
  EXPECT_EQ(log, "32 other ");
  EXPECT_TRUE(exchange->answers.empty());
}

TEST_F(EncoderAnswers, TheTimeToFinishEndsThem) {
  during = [this] { loop.finish(0); };
  run();
  EXPECT_EQ(log, "32 other ");
  EXPECT_EQ(status(), 503);
}

TEST_F(EncoderAnswers, AnyExceptionIsAnAnswer) {
  during = [] { throw std::runtime_error("of another library"); };
  run();
  EXPECT_EQ(log, "32 other ");
  EXPECT_EQ(status(), 500);
}

TEST_F(EncoderAnswers, ALoopThatTakesNoMoreRefuses) {
  loop.finish(0);
  EXPECT_THROW(std::make_shared<EncoderAnswer>(plan(), exchange, loop)->start(), Refusal);
}

}  // namespace
}  // namespace lowrank::serve
