#include <array>

#include "fuzz/input_files.h"
#include "fuzz/mutate_gguf.h"
#include "fuzz/small_run.h"
#include "fuzz/target.h"

namespace lowrank::fuzz {
namespace {

/// Sizes that the metadata asks for.
bool asks_for_much(const GgufFile& file) {
  static constexpr std::array sizes = {".block_count",          ".attention.head_count",
                                       ".attention.key_length", ".feed_forward_length",
                                       ".embedding_length",     ".attention.value_length"};
  return std::ranges::any_of(file.metadata(), [](const auto& entry) {
    if (std::ranges::none_of(sizes, [&](const char* size) { return entry.first.ends_with(size); }))
      return false;
    const auto* number = std::get_if<int64_t>(&entry.second);
    const auto* natural = std::get_if<uint64_t>(&entry.second);
    return (number && *number > largest_number) || (natural && *natural > largest_number);
  });
}

}  // namespace

extern const Target gguf_model_target;
const Target gguf_model_target{
    [](std::string_view input) {
      const auto path = folder().write("model.gguf", input);
      answers([&] {
        if (asks_for_much(GgufFile::open(path))) return;
        load_and_run(Checkpoint::open(path), input.size() + static_cast<uint8_t>(input.back()));
      });
    },
    [](std::string_view input, Mutation& mutation) { return changed_gguf(input, mutation); }};

}  // namespace lowrank::fuzz
