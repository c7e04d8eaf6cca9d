#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "serve/api/answers.h"
#include "serve/http/exchange.h"
#include "serve/model_loop.h"
#include "serve/server_metrics.h"
#include "tokenizer/tokenizer.h"

namespace lowrank::serve {

/// What an answer is made from; all but the values must outlive it.
struct AnswerPlan {
  AnswerHead head;
  std::vector<EngineRequest> requests;  ///< one per choice
  int64_t choices_per_prompt = 1;
  std::vector<std::string> echoes = {};  ///< in front of each choice's text; empty: nothing
  bool stream = false, include_usage = false;
  std::function<void()> failed = nullptr;  ///< called on the loop's thread when a choice fails
  /// An error as the client may see it; the log has it as it is. Empty: unchanged.
  std::function<std::string(const std::string&)> text_for_clients = nullptr;
};

/// The choices of one request, from the engine's news to the client: as one answer, or as a stream of events.
/// Lives on the exchange's executor. If the client goes away, its requests are cancelled.
class GenerationAnswer : public std::enable_shared_from_this<GenerationAnswer> {
 public:
  GenerationAnswer(AnswerPlan plan, std::shared_ptr<Exchange> exchange, ModelLoop& loop,
                   const Tokenizer& tokenizer, ServerMetrics& metrics);

  /// Submits the requests. Errors: a Refusal (503) if the queue is full.
  void start();

 private:
  struct Choice {
    std::string text;
    std::vector<ShownToken> tokens;
    int64_t characters = 0;  ///< code points of the tokens that were sent
    bool begun = false;
    std::optional<FinishReason> finish;
    int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  };

  void take(size_t index, ModelNews news);
  void send(size_t index, const EngineEvent& event, std::vector<ShownToken> tokens);
  void complete();
  void give_up(const Error& error, int status);
  void cancel_all();
  Usage usage() const;
  ShownToken shown(int64_t token, double log_probability) const;
  std::vector<ShownToken> shown(const std::vector<ChosenToken>& tokens) const;

  AnswerPlan plan_;
  std::shared_ptr<Exchange> exchange_;
  ModelLoop* loop_;
  const Tokenizer* tokenizer_;
  ServerMetrics* metrics_;
  bool with_tokens_;
  std::vector<Choice> choices_;
  std::vector<uint64_t> numbers_;
  size_t open_ = 0;
  bool begun_ = false, over_ = false, has_first_ = false;
  double started_;
};

}  // namespace lowrank::serve
