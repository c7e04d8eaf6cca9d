#include "data/rows/rows.h"

#include <array>

#include "data/labels.h"
#include "fuzz/input_files.h"
#include "fuzz/mutate_json.h"
#include "fuzz/target.h"

namespace lowrank::fuzz {
namespace {

/// The first byte chooses the kind of file, the second how its rows are read; the file follows.
constexpr std::array kinds = {"jsonl", "json", "csv", "tsv"};
constexpr std::array row_formats = {"",      "prompt",   "text",     "alpaca",     "tokenised",
                                    "label", "messages", "sharegpt", "alpaca-chat"};

RowOptions row_options(uint8_t choice) {
  RowOptions options;
  options.format = row_formats[choice % row_formats.size()];
  options.need_completion = choice & 64;
  if (choice & 128) options.columns = {choice & 32 ? "text=1" : "prompt=a", "completion=b"};
  return options;
}

std::string mutate_lines(const std::string& text, Mutation& mutation) {
  std::string lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    lines += mutation.once_in(2) ? changed_json(line, mutation) : line;
    if (end < text.size()) lines += '\n';
    begin = end + 1;
  }
  return lines;
}

std::string mutate_rows(std::string_view input, Mutation& mutation) {
  if (input.size() < 3) return mutation.changed(std::string(input));
  std::string head(input.substr(0, 2));
  std::string text(input.substr(2));
  if (mutation.once_in(20)) head[1] = static_cast<char>(mutation.below(256));
  const size_t kind = static_cast<uint8_t>(head[0]) % kinds.size();
  if (kind > 1 || mutation.once_in(3)) {
    text = mutation.changed(std::move(text));
  } else {
    text = kind == 1 ? changed_json(text, mutation) : mutate_lines(text, mutation);
  }
  return head + text;
}

}  // namespace

extern const Target rows_target;
const Target rows_target{
    [](std::string_view input) {
      if (input.size() < 2) return;
      const auto path = folder().write(
          std::string("rows.") + kinds[static_cast<uint8_t>(input[0]) % kinds.size()], input.substr(2));
      answers([&] {
        read_rows(path.string(), row_options(static_cast<uint8_t>(input[1])),
                  [](const Row& row, const nlohmann::ordered_json& json) {
                    volatile size_t sum =
                        row.prompt.size() + row.completion.size() + row.input_ids.size() + json.size();
                    (void)sum;
                  });
      });
    },
    mutate_rows};

}  // namespace lowrank::fuzz
