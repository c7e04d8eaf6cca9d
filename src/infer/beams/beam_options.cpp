#include "infer/beams/beam_options.h"

#include <fmt/format.h>

namespace lowrank {
namespace {

/// A choice among texts of which two are truth values in other files.
Field also_boolean(Field field) {
  field.set = [inner = std::move(field.set)](const nlohmann::json& value) {
    inner(value.is_boolean() ? nlohmann::json(value.get<bool>() ? "true" : "false") : value);
  };
  return field;
}

}  // namespace

std::vector<Field> BeamOptions::fields() {
  constexpr double most_beams = 1024, steepest = 100;
  return {
      limited(field("num_beams", num_beams,
                    "above 1: beam search, which keeps this many texts and returns the likeliest"),
              1, most_beams),
      limited(field("length_penalty", length_penalty,
                    "of beam search: log-probabilities are divided by the number of tokens to this power"),
              -steepest, steepest),
      also_boolean(one_of(field("early_stopping", early_stopping,
                                "of beam search: true stops with num_beams finished texts, false when a "
                                "better one is unlikely, never when none is possible"),
                          {"false", "true", "never"})),
      limited(
          field("num_return_sequences", num_return_sequences, "texts that beam search returns per prompt"), 1,
          most_beams),
  };
}

std::string BeamOptions::contradiction() const {
  if (num_return_sequences > num_beams)
    return fmt::format("`num_return_sequences` is {}, but `num_beams` {}: give at least as many beams",
                       num_return_sequences, num_beams);
  if (any()) return {};
  const char* idle = length_penalty != 1         ? "length_penalty"
                     : early_stopping != "false" ? "early_stopping"
                                                 : nullptr;
  return idle ? fmt::format("`{}` is for beam search: give `num_beams` above 1", idle) : "";
}

}  // namespace lowrank
