#include "serve/generation_answer.h"

#include <utility>

#include "base/process.h"
#include "serve/api/refusal.h"

namespace lowrank::serve {
namespace {

constexpr int internal_error = 500, unavailable = 503;

}  // namespace

GenerationAnswer::GenerationAnswer(AnswerPlan plan, std::shared_ptr<Exchange> exchange, ModelLoop& loop,
                                   const Tokenizer& tokenizer, ServerMetrics& metrics)
    : plan_(std::move(plan)),
      exchange_(std::move(exchange)),
      loop_(&loop),
      tokenizer_(&tokenizer),
      metrics_(&metrics),
      with_tokens_(plan_.requests.front().top_logprobs >= 0),
      choices_(plan_.requests.size()),
      open_(plan_.requests.size()),
      started_(monotonic_seconds()) {}

void GenerationAnswer::start() {
  for (size_t index = 0; index < plan_.requests.size(); ++index) {
    const auto sink = [self = shared_from_this(), index](ModelNews news) {
      const bool failed = news.refusal || news.event.finish == FinishReason::failed;
      if (failed && self->plan_.failed) self->plan_.failed();
      self->exchange_->post(
          [self, index, news = std::move(news)]() mutable { self->take(index, std::move(news)); });
    };
    const auto number = loop_->submit(std::move(plan_.requests[index]), sink);
    if (!number) {
      cancel_all();
      over_ = true;
      throw Refusal(unavailable, "the server has too many requests; try again later", "", "overloaded");
    }
    numbers_.push_back(*number);
  }
  exchange_->on_gone([weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      self->over_ = true;
      self->cancel_all();
    }
  });
}

void GenerationAnswer::cancel_all() {
  for (const uint64_t number : numbers_) loop_->cancel(number);
}

ShownToken GenerationAnswer::shown(int64_t token, double log_probability) const {
  return {std::string(tokenizer_->bytes_of(token, false)), log_probability};
}

std::vector<ShownToken> GenerationAnswer::shown(const std::vector<ChosenToken>& tokens) const {
  std::vector<ShownToken> result;
  for (const ChosenToken& token : tokens) {
    ShownToken one = shown(token.token, token.log_probability);
    for (const TokenLogProbability& other : token.top)
      one.top.push_back(shown(other.token, other.log_probability));
    result.push_back(std::move(one));
  }
  return result;
}

void GenerationAnswer::take(size_t index, ModelNews news) {
  if (over_) return;
  if (news.refusal) return give_up(*news.refusal, 0);
  const EngineEvent& event = news.event;
  if (event.finish == FinishReason::failed)
    return give_up(Error(ErrorKind::invalid, event.error), internal_error);
  if (event.finish == FinishReason::cancelled)
    return give_up(Error(ErrorKind::interrupted, "the server is stopping"), unavailable);
  Choice& choice = choices_[index];
  choice.prompt_tokens = event.prompt_tokens;
  choice.cached_tokens = event.cached_tokens;
  choice.generated_tokens = event.generated_tokens;
  choice.finish = event.finish;
  if (!std::exchange(has_first_, true)) metrics_->first_token(monotonic_seconds() - started_);
  std::vector<ShownToken> tokens = with_tokens_ ? shown(event.tokens) : std::vector<ShownToken>();
  if (plan_.stream) {
    send(index, event, std::move(tokens));
  } else {
    choice.text += event.text;
    std::ranges::move(tokens, std::back_inserter(choice.tokens));
  }
  if (event.finish && --open_ == 0) complete();
}

void GenerationAnswer::send(size_t index, const EngineEvent& event, std::vector<ShownToken> tokens) {
  Choice& choice = choices_[index];
  const bool first = !std::exchange(choice.begun, true);
  std::string text = event.text;
  if (first && !plan_.echoes.empty()) text.insert(0, plan_.echoes[index]);
  // A token may end in the middle of a character, which the next one completes.
  if (!first && text.empty() && tokens.empty() && !event.finish) return;
  if (!std::exchange(begun_, true)) {
    HttpResponse head;
    head.content_type = "text/event-stream; charset=utf-8";
    head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
    exchange_->begin(std::move(head));
  }
  ChoicePart part{static_cast<int64_t>(index), std::move(text), event.finish};
  part.text_offset = choice.characters;
  // The text follows the tokens late: it waits for whole characters and for what may be a stop text.
  for (const ShownToken& token : tokens) choice.characters += code_points(token.bytes);
  if (with_tokens_ && !tokens.empty()) part.tokens = std::move(tokens);
  exchange_->send(part_event(plan_.head, part, first));
}

Usage GenerationAnswer::usage() const {
  Usage usage;
  for (size_t i = 0; i < choices_.size(); ++i) {
    usage.generated_tokens += choices_[i].generated_tokens;
    // The choices of one prompt have it in common.
    if (i % static_cast<size_t>(plan_.choices_per_prompt) != 0) continue;
    usage.prompt_tokens += choices_[i].prompt_tokens;
    usage.cached_tokens += choices_[i].cached_tokens;
  }
  return usage;
}

void GenerationAnswer::complete() {
  over_ = true;
  metrics_->finished(monotonic_seconds() - started_);
  const Usage used = usage();
  exchange_->set_note(fmt::format("{}+{} tokens", used.prompt_tokens, used.generated_tokens));
  if (plan_.stream) {
    if (plan_.include_usage) exchange_->send(usage_event(plan_.head, used));
    exchange_->send(std::string(done_event));
    return exchange_->end();
  }
  std::vector<ChoicePart> parts;
  for (size_t i = 0; i < choices_.size(); ++i) {
    Choice& choice = choices_[i];
    if (!plan_.echoes.empty()) choice.text.insert(0, plan_.echoes[i]);
    parts.push_back({static_cast<int64_t>(i), std::move(choice.text), choice.finish});
    if (with_tokens_) parts.back().tokens = std::move(choice.tokens);
  }
  exchange_->answer({200, answer_json(plan_.head, parts, used)});
}

/// Tells the client what went wrong: with a status, or as the last event of a stream that has begun.
void GenerationAnswer::give_up(const Error& error, int status) {
  over_ = true;
  cancel_all();
  const Refusal full = status == 0 ? refusal_of(error) : Refusal(status, error.what());
  const Refusal refusal(full.status(),
                        plan_.text_for_clients ? plan_.text_for_clients(full.what()) : full.what(),
                        full.parameter(), full.code());
  exchange_->set_note(error.what());
  if (!begun_) return exchange_->answer(refusal_response(refusal));
  exchange_->send(event(refusal_json(refusal)));
  exchange_->end();
}

}  // namespace lowrank::serve
