#pragma once

#include <string>
#include <string_view>

#include "infer/generate.h"

namespace lowrank {

/// How the LoRA paper generates descriptions (Table 11): beam search with 10 beams and a length penalty, no
/// four words twice, up to an empty line.
GenerationOptions paper_beam_search(double length_penalty, int64_t max_new_tokens);

/// A prompt of data in the form of the paper's code, less its <|endoftext|>, which only GPT-2 takes for a
/// separator: " ||" stands for it, which divides the two in E2E's files.
std::string data_prompt(std::string_view data);

/// A text as the paper's code gives it to the metrics of WebNLG and DART: up to an empty line, in lower case,
/// with spaces around each character that is no letter, digit or underscore.
std::string divided_words(std::string_view text);

/// The text without spaces at its ends.
std::string trimmed(std::string_view text);

}  // namespace lowrank
