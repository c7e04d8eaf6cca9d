#include "study/benchmark/generated_text.h"

#include "base/text/characters.h"

namespace lowrank {

GenerationOptions paper_beam_search(double length_penalty, int64_t max_new_tokens) {
  GenerationOptions options;
  options.max_new_tokens = max_new_tokens;
  options.stop = {"\n\n"};
  options.beams.num_beams = 10;
  options.beams.length_penalty = length_penalty;
  options.sampling.no_repeat_ngram_size = 4;
  return options;
}

std::string data_prompt(std::string_view data) {
  return std::string(data) + " ||";
}

std::string divided_words(std::string_view text) {
  const std::string lower = lower_case(text.substr(0, text.find("\n\n")));
  std::string divided;
  bool apart = false;  // the next character begins a word
  for (size_t offset = 0; offset < lower.size();) {
    const size_t start = offset;
    const char32_t character = next_character(lower, offset);
    const std::string_view bytes = std::string_view(lower).substr(start, offset - start);
    if (is_space(character)) {
      apart = true;
      continue;
    }
    const bool in_word = bytes == "_" || all_are(bytes, CharacterClass::alnum);
    if ((apart || !in_word) && !divided.empty()) divided += ' ';
    divided += bytes;
    apart = !in_word;
  }
  return divided;
}

std::string trimmed(std::string_view text) {
  return std::string(without_spaces(text));
}

}  // namespace lowrank
