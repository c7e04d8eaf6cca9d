#include "tokenizer/chat/chat_template.h"

#include "base/json.h"
#include "fuzz/input_files.h"
#include "fuzz/mutate_json.h"
#include "fuzz/target.h"

namespace lowrank::fuzz {
namespace {

constexpr size_t parts = 2;  // the template, then the conversation

std::string mutate_chat(std::string_view input, Mutation& mutation) {
  std::vector<std::string> files = unpack(input, parts);
  if (mutation.once_in(4)) {
    files[1] = changed_json(files[1].empty() ? R"([{"role": "user", "content": "a"}])" : files[1], mutation);
  } else {
    files[0] = mutation.changed(std::move(files[0]));
  }
  return pack(files);
}

}  // namespace

extern const Target chat_template_target;
const Target chat_template_target{
    [](std::string_view input) {
      const std::vector<std::string> files = unpack(input, parts);
      answers([&] {
        const ChatTemplate chat(files[0], "fuzzed", {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
        Conversation conversation;
        conversation.messages = parse_ordered_json(files[1], "fuzzed", {.depth = 200});
        RenderOptions options;
        options.steps = 100'000;
        options.now = jinja::CalendarTime{2025, 3, 9, 8, 5, 7};
        answers([&] { (void)chat.render(conversation, options); });
        options.add_generation_prompt = true;
        answers([&] { (void)chat.render(conversation, options); });
        options.add_generation_prompt = options.drop_null_keys = false;
        options.continue_final_message = true;
        answers([&] { (void)chat.render(conversation, options); });
      });
    },
    mutate_chat};

}  // namespace lowrank::fuzz
