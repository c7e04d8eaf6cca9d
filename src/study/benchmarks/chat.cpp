// Conversations: how likely the assistant's answers are, or how many last answers the model gives word by
// word.
#include "study/benchmark/entry_options.h"
#include "study/benchmark/row_file_options.h"

namespace lowrank {
namespace {

struct ChatBenchmarkOptions {
  RowFileOptions files;
  std::string score = "loss";

  std::vector<Field> fields() {
    std::vector<Field> fields = files.fields();
    fields.push_back(one_of(field("score", score,
                                  "loss: of the answers; exact_match: the share of last answers that the "
                                  "model gives word by word"),
                            {"loss", "exact_match"}));
    return fields;
  }

  Answer answer() const { return score == "loss" ? Answer::loss : Answer::text; }
};

PreparedBenchmark prepare(const std::filesystem::path& source, const std::filesystem::path& folder,
                          const nlohmann::ordered_json& options) {
  auto chosen = read_entry_options<ChatBenchmarkOptions>(options, "chat");
  chosen.files.only_conversations = true;
  return prepare_row_files(source, folder, chosen.files, chosen.answer(), "chat");
}

BenchmarkScoring scoring(const nlohmann::ordered_json& options) {
  const auto chosen = read_entry_options<ChatBenchmarkOptions>(options, "chat");
  if (chosen.answer() == Answer::loss) return score_rows(Answer::loss, {}, chosen.files);
  return score_rows(Answer::text, {"exact_match"}, chosen.files);
}

}  // namespace

extern const BenchmarkInfo chat_benchmark;
const BenchmarkInfo chat_benchmark{
    "chat", "conversations: train.jsonl, test.jsonl and perhaps validation.jsonl, rows of messages", prepare,
    scoring, entry_options<ChatBenchmarkOptions>};

}  // namespace lowrank
