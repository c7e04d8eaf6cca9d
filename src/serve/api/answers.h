#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/labels.h"
#include "infer/engine/request.h"
#include "serve/api/parameters.h"

namespace lowrank::serve {

/// What all parts of an answer say of it.
struct AnswerHead {
  std::string id, model;
  int64_t created = 0;  ///< seconds since 1970
  bool chat = true;     ///< of /v1/chat/completions; else of /v1/completions
};

/// A token with the bytes that stand for it, which may be part of a character.
struct ShownToken {
  std::string bytes;
  double log_probability = 0;
  std::vector<ShownToken> top = {};
};

/// Characters that begin in these bytes; one that tokens share counts for the first of them.
int64_t code_points(std::string_view bytes);

/// What a choice says, or what is new in it.
struct ChoicePart {
  int64_t index = 0;
  std::string text = {};
  std::optional<FinishReason> finish = {};
  /// With log-probabilities; nothing if they were not asked for.
  std::optional<std::vector<ShownToken>> tokens = {};
  int64_t text_offset = 0;  ///< code points of the choice's tokens before this part
};

struct Usage {
  int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
};

/// A complete answer: "chat.completion" or "text_completion".
std::string answer_json(const AnswerHead& head, const std::vector<ChoicePart>& choices, const Usage& usage);

/// An event of a stream, from "data: " to the empty line. `first`: the choice's first, which names the role.
std::string part_event(const AnswerHead& head, const ChoicePart& part, bool first);
/// The event with the usage, without choices.
std::string usage_event(const AnswerHead& head, const Usage& usage);
/// An event of any JSON text.
std::string event(std::string_view data);
/// The last event of a stream that ended well.
inline constexpr std::string_view done_event = "data: [DONE]\n\n";

/// One vector per text, [count, width] in `values`, as /v1/embeddings answers.
std::string embeddings_json(const std::string& model, const std::vector<float>& values, int64_t width,
                            int64_t tokens, bool base64);

/// What /classify answers: one row of shares (or a value) per text, [count, outputs].
std::string classes_json(const AnswerHead& head, const std::vector<float>& shares, const LabelSet& labels,
                         int64_t tokens);

/// A model in GET /v1/models.
struct ListedModel {
  std::string id, root;
  std::string parent = {};  ///< the base, of an adapter
  int64_t created = 0;
  int64_t context = 0;  ///< in tokens
};

Json model_json(const ListedModel& model);

}  // namespace lowrank::serve
