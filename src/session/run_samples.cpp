#include "session/run_samples.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/one_line.h"
#include "base/staged_folder.h"
#include "data/rows/rows.h"
#include "infer/generate.h"
#include "peft/bank/inference_hooks.h"
#include "session/chat_options.h"

namespace lowrank {
namespace {

constexpr const char* samples_name = "samples.jsonl";
constexpr size_t most_prompts = 16, prompts_of_rows = 3, most_shown = 100;
constexpr int64_t most_tokens = 64, prompt_of_text = 16;

using ChatFormats = std::function<const ChatFormat&(bool has_tools)>;

/// Adds a row that is a conversation: the model answers what comes before the answer.
void add_conversation(const ConversationRow& row, const ChatFormats& chat, SamplePrompts& found) {
  const Conversation asked = before_answer(row);
  const ChatFormat& format = chat(!asked.tools.is_null());
  ChatNotes notes;
  found.ids.push_back(format.prompt(asked, notes));
  found.prompts.push_back(format.tokenizer().decode(found.ids.back(), true));
  found.references.emplace_back();
  const nlohmann::ordered_json& messages = row.conversation.messages;
  if (asked.messages.size() < messages.size()) {
    const auto& content = messages[asked.messages.size()].value("content", nlohmann::ordered_json(""));
    found.references.back() = content.is_string() ? content.get<std::string>() : json_text(content);
  }
  found.end_tokens = format.end_tokens();
}

SamplePrompts prompts_in(const std::string& path, const DatasetOptions& format, const Tokenizer& tokenizer,
                         const ChatFormats& chat) {
  SamplePrompts found;
  int64_t rows = 0;
  read_rows(path, {format.format, format.columns, false}, [&](const Row& row, const nlohmann::ordered_json&) {
    check(row.conversation || row.format == RowFormat::prompt_completion || row.format == RowFormat::alpaca,
          ErrorKind::invalid, "{}: the row has no prompt", row.where);
    if (++rows > std::ssize(found.ids) && found.ids.size() == most_prompts) return;
    if (row.conversation) return add_conversation(*row.conversation, chat, found);
    found.ids.push_back(encode_prompt(tokenizer, row.prompt));
    found.prompts.push_back(row.prompt);
    found.references.push_back(row.completion);
    check(!found.ids.back().empty(), ErrorKind::invalid, "{}: the prompt has no tokens", row.where);
  });
  if (rows > std::ssize(found.ids))
    warn("{}: the first {} of {} prompts are continued during the run (`sample_data`)", path,
         found.ids.size(), rows);
  return found;
}

/// The text of the targets that follow a prompt, without the token that ends them.
std::string reference_of(const Example& example, int64_t begin, const Tokenizer& tokenizer) {
  int64_t end = begin;
  while (end < std::ssize(example.labels) && end - begin < most_tokens && example.labels[end] != no_target)
    ++end;
  if (end > begin && tokenizer.ends_generation(example.tokens[end - 1])) --end;
  return tokenizer.decode(std::span(example.tokens).subspan(begin, end - begin), true);
}

SamplePrompts prompts_of(const ExampleStore& examples, const Tokenizer& tokenizer) {
  SamplePrompts found;
  for (const Example& example : examples) {
    if (found.ids.size() == prompts_of_rows) break;
    const auto target =
        std::ranges::find_if(example.labels, [](int64_t label) { return label != no_target; });
    int64_t length = target - example.labels.begin();
    // Of a text that is learned whole, the beginning is the prompt.
    if (length <= 1) length = std::min(prompt_of_text, std::ssize(example.tokens) / 2);
    if (length == 0) continue;
    const std::span<const int64_t> tokens = example.tokens;
    found.ids.emplace_back(tokens.begin(), tokens.begin() + length);
    found.prompts.push_back(tokenizer.decode(tokens.first(length), true));
    found.references.push_back(reference_of(example, length, tokenizer));
  }
  return found;
}

/// The folder of a checkpoint's run; empty without a checkpoint.
std::filesystem::path run_of(const std::filesystem::path& checkpoint) {
  if (checkpoint.empty()) return {};
  const std::filesystem::path run = without_slash(checkpoint).parent_path();
  return run.empty() ? "." : run;
}

/// Where the end of a prompt that is shown begins: after a space, if there is one near.
size_t shown_from(const std::string& prompt) {
  constexpr size_t near = 20;
  if (prompt.size() <= most_shown / 2) return 0;
  size_t begin = prompt.size() - most_shown / 2;
  const size_t space = prompt.find_first_of(" \t\n", begin);
  if (space < begin + near) return space + 1;
  while (begin < prompt.size() && (static_cast<unsigned char>(prompt[begin]) & 0xC0) == 0x80) ++begin;
  return begin;
}

/// The end of a prompt and what follows it, fit for a line.
std::string shown(const std::string& prompt, const std::string& generated) {
  const auto in_one = [](std::string text) {
    std::ranges::replace_if(
        text, [](unsigned char letter) { return letter < 0x20; }, ' ');
    return text;
  };
  const size_t begin = shown_from(prompt);
  return fmt::format("{}{} ->{}{}", begin > 0 ? "..." : "", in_one(prompt.substr(begin)),
                     generated.starts_with(' ') ? "" : " ", one_line(in_one(generated), most_shown));
}

}  // namespace

std::vector<Field> SampleOptions::fields() {
  return {
      limited(field("sample_every", every,
                    "steps between generations on a few prompts, which are shown and kept in "
                    "samples.jsonl; 0: none"),
              0, std::numeric_limits<int32_t>::max()),
      field("sample_data", data,
            "rows with the prompts for `sample_every`; by default those of the first three evaluation rows, "
            "or training rows")};
}

std::optional<RunSamples> plan_samples(const SampleOptions& options, const TrainingDataOptions& format,
                                       const std::string& model, const std::string& adapter,
                                       const ModelSpec& spec, const TrainingData& data) {
  if (options.every == 0) return std::nullopt;
  check(spec.task == Task::causal_lm, ErrorKind::unsupported, "`sample_every`: an encoder generates no text");
  std::optional<Tokenizer> tokenizer = find_tokenizer(model);
  check(tokenizer.has_value(), ErrorKind::unsupported, "`sample_every`: the model has no tokenizer");
  const ExampleStore& rows =
      data.evaluation.examples.empty() ? data.train.examples : data.evaluation.examples;
  SamplePrompts prompts = options.data.empty()
                              ? prompts_of(rows, *tokenizer)
                              : prompts_in(options.data, format.dataset, *tokenizer,
                                           chat_format_on_demand(model, adapter, *tokenizer, format.chat));
  if (options.data.empty()) prompts.end_tokens = data.train.end_tokens;
  check(!prompts.ids.empty(), ErrorKind::invalid,
        "`sample_every`: the rows are too short to have a prompt; give some as `sample_data`");
  return RunSamples(std::move(*tokenizer), std::move(prompts));
}

RunSamples::RunSamples(Tokenizer tokenizer, SamplePrompts prompts)
    : tokenizer_(std::move(tokenizer)), prompts_(std::move(prompts)) {}

void RunSamples::set_folder(const std::filesystem::path& folder, const std::filesystem::path& resumed) {
  folder_ = folder;
  earlier_ = run_of(resumed);
}

void RunSamples::make(const Model& model, const Adapter& adapter, int64_t step) {
  GenerationOptions options;
  options.max_new_tokens = most_tokens;
  options.end_tokens = prompts_.end_tokens;
  const std::vector<Generation> made =
      generate(model, InferenceHooks(adapter), tokenizer_, prompts_.ids, options);
  if (!file_) {
    const std::filesystem::path name = samples_name;
    file_.emplace(folder_ / name, earlier_.empty() ? "" : metrics_until(earlier_ / name, step - 1, step - 1));
  }
  for (size_t i = 0; i < made.size(); ++i) {
    nlohmann::ordered_json row = {
        {"step", step}, {"prompt", prompts_.prompts[i]}, {"generated", made[i].text}};
    if (!prompts_.references[i].empty()) row["reference"] = prompts_.references[i];
    file_->write(row);
    info("step {}: {}", step, shown(prompts_.prompts[i], made[i].text));
  }
}

}  // namespace lowrank
