#include "tokenizer/tokenizer.h"

#include "fuzz/input_files.h"
#include "fuzz/mutate_json.h"
#include "fuzz/target.h"
#include "tokenizer/files/base64.h"
#include "tokenizer/files/tokenizer_json.h"

namespace lowrank::fuzz {
namespace {

const std::vector<std::string> tokenizer_names = {"tokenizer_config.json", "special_tokens_map.json",
                                                  "generation_config.json", "text.txt", "tokenizer.json"};
constexpr size_t text_file = 3, tokenizer_file = 4;

void use(const Tokenizer& tokenizer, const std::string& text) {
  const std::vector<int64_t> ids = tokenizer.encode(text, true);
  (void)tokenizer.decode(ids, false);
  (void)tokenizer.decode(ids, true);
  StreamDecoder decoder(tokenizer);
  for (const int64_t id : tokenizer.encode_continuation(text)) (void)decoder.next(id);
  (void)decoder.finish();
  (void)tokenizer.encode_pair(text, "a second one", 12);
}

/// A tokenizer.json with some bytes of its charsmap changed; as it is without one.
std::string changed_charsmap(const std::string& text, Mutation& mutation) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("normalizer")) return text;
  const Json::json_pointer place("/normalizer/precompiled_charsmap");
  if (!json.contains(place) || !json[place].is_string()) return text;
  std::string bytes = from_base64(json[place].get<std::string>()).value_or("");
  for (size_t times = 1 + mutation.below(4); times > 0 && !bytes.empty(); --times)
    bytes[mutation.below(bytes.size())] = static_cast<char>(mutation.random());
  json[place] = to_base64(bytes);
  return json_text(json);
}

std::string mutate_tokenizer(std::string_view input, Mutation& mutation) {
  if (mutation.once_in(8)) return mutation.changed(std::string(input));
  std::vector<std::string> files = unpack(input, tokenizer_names.size());
  for (size_t times = 1 + mutation.below(2); times > 0; --times) {
    const size_t chosen = std::min<size_t>(mutation.below(8), tokenizer_file);
    std::string& file = files[chosen];
    if (chosen == tokenizer_file && mutation.once_in(4)) file = changed_charsmap(file, mutation);
    file = chosen == text_file ? mutation.changed(std::move(file))
                               : changed_json(file.empty() ? "{}" : file, mutation);
  }
  return pack(files);
}

}  // namespace

extern const Target tokenizer_target;
const Target tokenizer_target{
    [](std::string_view input) {
      const std::vector<std::string> files = unpack(input, tokenizer_names.size());
      write_files("tokenizer", tokenizer_names, files);
      answers([&] {
        const Tokenizer tokenizer = load_tokenizer(folder("tokenizer"));
        answers([&] { use(tokenizer, "Hello, w\u00F6rld <s> 123\n\n  [INST] \u4E2D don't"); });
        answers([&] { use(tokenizer, files[text_file]); });
        answers([&] { (void)tokenizer_json(tokenizer.spec()).dump(); });
        answers([&] { (void)tokenizer_config_json(tokenizer.spec()).dump(); });
      });
    },
    mutate_tokenizer};

}  // namespace lowrank::fuzz
