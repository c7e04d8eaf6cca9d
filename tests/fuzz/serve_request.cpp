#include "fuzz/mutate_json.h"
#include "fuzz/target.h"
#include "serve/api/generation_request.h"
#include "serve/api/refusal.h"
#include "serve/api/text_requests.h"
#include "serve/http/access.h"
#include "serve/http/message.h"

namespace lowrank::fuzz {
namespace {

constexpr int64_t vocabulary = 1000;
constexpr int64_t choices = 16;

/// Runs `read`; a Refusal with a status of a client's mistake is a valid outcome.
template <typename F>
void answered(F&& read) {
  try {
    read();
  } catch (const serve::Refusal& refusal) {
    if (refusal.status() < 400 || refusal.status() >= 500) throw std::logic_error("a status of no client's");
    (void)serve::refusal_json(refusal);
  }
}

/// What the service may rely on.
void check_whole(const serve::GenerationRequest& request, bool chat) {
  bool whole = request.n >= 1 && request.n <= choices && request.max_tokens.value_or(1) >= 1 &&
               request.sampling.temperature >= 0 && request.sampling.top_p > 0 &&
               request.sampling.top_k >= 0 && request.top_logprobs >= -1;
  for (const std::string& stop : request.stop) whole = whole && !stop.empty();
  for (const std::vector<int64_t>& ids : request.ids) {
    whole = whole && !ids.empty();
    for (const int64_t id : ids) whole = whole && id >= 0 && id < vocabulary;
  }
  whole = whole &&
          (chat ? !request.conversation.messages.empty() : !request.texts.empty() || !request.ids.empty());
  if (!whole) throw std::logic_error("a request without what its readers need");
}

/// The first byte chooses the endpoint; the body follows.
void read(std::string_view input) {
  if (input.empty()) return;
  const std::string_view body = input.substr(1);
  const serve::RequestLimits limits{.vocabulary = vocabulary, .most_choices = choices};
  answered([&] {
    switch (static_cast<unsigned char>(input[0]) % 7) {
      case 0:
        return check_whole(serve::chat_request(body, limits), true);
      case 1:
        return check_whole(serve::completion_request(body, limits), false);
      case 2:
        return (void)serve::encoder_request(body, vocabulary, 8, 16);
      case 3:
        return (void)serve::tokenize_request(body);
      case 4:
        return (void)serve::adapter_request(body, true);
      case 5:
        return (void)serve::adapter_scales(body);
      default:
        (void)serve::path_of_target(body);
        (void)serve::is_loopback(serve::host_name(body));
    }
  });
}

std::string mutate_request(std::string_view input, Mutation& mutation) {
  if (input.size() < 2) return mutation.changed(std::string(input));
  const char endpoint = mutation.once_in(20) ? static_cast<char>(mutation.below(256)) : input[0];
  const std::string body(input.substr(1));
  return endpoint + (mutation.once_in(8) ? mutation.changed(body) : changed_json(body, mutation));
}

}  // namespace

extern const Target serve_request_target;
const Target serve_request_target{read, mutate_request};

}  // namespace lowrank::fuzz
