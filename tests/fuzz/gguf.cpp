#include "formats/gguf.h"

#include "formats/block_formats.h"
#include "formats/gguf_metadata.h"
#include "fuzz/input_files.h"
#include "fuzz/mutate_gguf.h"
#include "fuzz/target.h"
#include "tokenizer/files/tokenizer_gguf.h"
#include "tokenizer/files/tokenizer_json.h"
#include "tokenizer/tokenizer.h"

namespace lowrank::fuzz {
namespace {

void use_tokenizer(const GgufFile& file) {
  const Tokenizer tokenizer(tokenizer_spec_from_gguf(file), file.path().string());
  const auto ids = tokenizer.encode("Hello, w\u00F6rld <s> 123\n\n  [INST] \u4E2D", true);
  (void)tokenizer.decode(ids, false);
  (void)tokenizer_json(tokenizer.spec()).dump();
}

}  // namespace

extern const Target gguf_target;
const Target gguf_target{
    [](std::string_view input) {
      const auto path = folder().write("model.gguf", input);
      answers([&] {
        const GgufFile file = GgufFile::open(path);
        (void)GgufMetadata(file).entries();
        touch(file.tensors());
        expand_all(file.tensors());
        answers([&] { use_tokenizer(file); });
      });
    },
    [](std::string_view input, Mutation& mutation) { return changed_gguf(input, mutation); }};

}  // namespace lowrank::fuzz
