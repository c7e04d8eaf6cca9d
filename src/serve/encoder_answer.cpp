#include "serve/encoder_answer.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/log.h"
#include "base/one_line.h"
#include "serve/api/refusal.h"

namespace lowrank::serve {
namespace {

constexpr size_t batch_texts = 32;

}  // namespace

EncoderAnswer::EncoderAnswer(EncoderPlan plan, std::shared_ptr<Exchange> exchange, ModelLoop& loop)
    : plan_(std::move(plan)), exchange_(std::move(exchange)), loop_(&loop) {}

void EncoderAnswer::start() {
  exchange_->on_gone([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->gone_ = true;
  });
  if (!loop_->post([self = shared_from_this()] { self->work(); }))
    throw Refusal(503, "the server has too many requests; try again later", "", "overloaded");
}

/// One batch; the loop does what else is waiting before it comes to the next.
void EncoderAnswer::work() {
  if (gone_) return;
  try {
    if (loop_->is_late()) throw Error(ErrorKind::interrupted, "the server is stopping");
    compute_batch();
    if (done_ < plan_.ids.size()) return loop_->post_next([self = shared_from_this()] { self->work(); });
    reply({200, plan_.body(values_)});
  } catch (const Error& error) {
    reply(refusal_response(refusal_of(error)));
  } catch (const std::exception& error) {
    warn("the encoder failed: {}", error.what());
    reply(refusal_response(Refusal(500, "the server failed at this request")));
  }
}

void EncoderAnswer::compute_batch() {
  const size_t end = std::min(done_ + batch_texts, plan_.ids.size());
  const auto at = [&](size_t text) { return plan_.ids.begin() + static_cast<std::ptrdiff_t>(text); };
  const std::vector<float> rows = plan_.compute(std::vector(at(done_), at(end)));
  values_.insert(values_.end(), rows.begin(), rows.end());
  done_ = end;
}

void EncoderAnswer::reply(HttpResponse response) {
  int64_t tokens = 0;
  for (const std::vector<int64_t>& ids : plan_.ids) tokens += std::ssize(ids);
  exchange_->post([exchange = exchange_, tokens, response = std::move(response)]() mutable {
    exchange->set_note(counted(tokens, "token"));
    exchange->answer(std::move(response));
  });
}

}  // namespace lowrank::serve
