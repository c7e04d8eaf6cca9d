// lowrank generate: continues a prompt (streamed) or every row of a data set.
#include "infer/generate.h"

#include <iostream>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "cli/row_writer.h"
#include "data/dataset.h"
#include "session/session.h"
#include "session/text_rows.h"

namespace lowrank {
namespace {

struct Options {
  SessionOptions session;
  GenerationOptions generation;
  std::string prompt, data, output, format;
  std::vector<std::string> adapters, columns;
  bool json = false;
};

/// The key of the generated text in a row; the row's own completion is kept.
constexpr const char* result_key = "generated";

void generate_one(const OpenSession& session, const Tokenizer& tokenizer, Options options) {
  if (session.bank) options.generation.adapters = {0};
  const std::vector<std::vector<int64_t>> prompts{encode_prompt(tokenizer, options.prompt)};
  const TextSink stream = [](int64_t, const std::string& text) { std::cout << text << std::flush; };
  const auto results = generate(*session.model, session.hooks(), tokenizer, prompts, options.generation,
                                options.json ? TextSink() : stream);
  if (options.json) {
    const nlohmann::ordered_json out = {{"prompt", options.prompt},
                                        {"completion", results[0].text},
                                        {"tokens", results[0].tokens},
                                        {"ended", results[0].ended}};
    std::cout << json_text(out);
  }
  std::cout << '\n';
}

struct PromptRows {
  std::vector<nlohmann::ordered_json> rows;
  std::vector<std::vector<int64_t>> ids;
  std::vector<std::string> where;
  std::vector<std::string> adapters;  ///< named by each row
};

PromptRows read_prompts(const Tokenizer& tokenizer, const Options& options) {
  PromptRows prompts;
  read_rows(options.data, {options.format, options.columns, false},
            [&](const Row& row, const nlohmann::ordered_json& json) {
              check_is_text(row);
              check(row.format == RowFormat::prompt_completion || row.format == RowFormat::alpaca,
                    ErrorKind::invalid, "{}: the row has no prompt", row.where);
              prompts.rows.push_back(json);
              prompts.ids.push_back(encode_prompt(tokenizer, row.prompt));
              prompts.where.push_back(row.where);
              prompts.adapters.push_back(row.adapter);
            });
  if (any_has(prompts.rows, result_key)) warn("\"{}\" of the rows is replaced", result_key);
  return prompts;
}

/// Fails for prompts that are empty or leave no room for a token, listing them together.
void check_lengths(const PromptRows& prompts, int64_t room) {
  constexpr size_t shown = 5;
  std::vector<std::string> problems;
  for (size_t i = 0; i < prompts.ids.size(); ++i) {
    const int64_t length = std::ssize(prompts.ids[i]);
    if (length == 0) problems.push_back(fmt::format("{}: the prompt has no tokens", prompts.where[i]));
    if (length >= room)
      problems.push_back(fmt::format("{}: the prompt has {} tokens, the model's context {}", prompts.where[i],
                                     length, room));
  }
  if (problems.empty()) return;
  const std::string more =
      problems.size() > shown ? fmt::format("; and {} more", problems.size() - shown) : "";
  problems.resize(std::min(problems.size(), shown));
  fail(ErrorKind::invalid, "{}{}", fmt::join(problems, "; "), more);
}

/// Writes rows as they are finished; those written before a signal or an error are kept.
void generate_rows(const OpenSession& session, const Tokenizer& tokenizer, PromptRows& prompts,
                   RowWriter& writer, const Options& given) {
  check_lengths(prompts, session.room());
  Options options = given;
  if (const auto number = session.adapter_number()) {
    for (size_t i = 0; i < prompts.ids.size(); ++i)
      options.generation.adapters.push_back(adapter_of(prompts.adapters[i], prompts.where[i], number));
  }
  const auto finished = [&](int64_t index, const Generation& made) {
    prompts.rows[index][result_key] = made.text;
    writer.write(prompts.rows[index]);
  };
  try {
    generate(*session.model, session.hooks(), tokenizer, prompts.ids, options.generation, nullptr, finished);
  } catch (const Error& error) {
    if (writer.rows() == 0) throw;
    writer.commit();
    throw Error(error.kind(),
                fmt::format("{} ({} of {} rows are {})", error.what(), writer.rows(), prompts.rows.size(),
                            options.output.empty() ? "written" : "in " + options.output),
                error.hint());
  }
  writer.commit();
}

int run(Arguments& arguments) {
  Options options;
  arguments.set_example("lowrank generate --model model.gguf --adapter adapter --prompt \"Package: htop\"");
  arguments.add(options.session.fields());
  arguments.add(options.generation.fields());
  arguments.add(
      {repeatable(field("adapter", options.adapters, adapters_help)),
       any_text(
           field("prompt", options.prompt, "a text to continue; the result is streamed to standard output")),
       field("data", options.data,
             "rows with prompts: JSON lines, JSON array, CSV or TSV; a file, a folder, or a pattern with *"),
       field("format", options.format, row_format_help), field("columns", options.columns, columns_help),
       field("output", options.output, "file for the rows with what is generated; empty: standard output"),
       field("json", options.json, "the result of --prompt as JSON")});
  if (!arguments.parse()) return 0;
  require(
      {{"--model", &options.session.model}, {"--prompt or --data", either(options.prompt, options.data)}});
  check(options.prompt.empty() != options.data.empty(), ErrorKind::invalid, "give either --prompt or --data");
  check(options.prompt.empty() || options.adapters.size() <= 1, ErrorKind::invalid,
        "--prompt is for one adapter; give the prompts as rows (--data), each with its \"adapter\"");
  const Tokenizer tokenizer = load_tokenizer(options.session.model);
  std::optional<PromptRows> prompts;
  std::optional<RowWriter> writer;
  if (!options.data.empty()) {
    prompts = read_prompts(tokenizer, options);
    writer.emplace(options.output, options.data);
  }
  const OpenSession session = open_session(options.session, options.adapters);
  check(session.checkpoint->spec().task == Task::causal_lm, ErrorKind::unsupported,
        "{}: an encoder generates no text; `lowrank classify` and `lowrank embed` are for it",
        options.session.model);
  prompts ? generate_rows(session, tokenizer, *prompts, *writer, options)
          : generate_one(session, tokenizer, options);
  return 0;
}

}  // namespace

extern const CommandInfo generate_command;
const CommandInfo generate_command{"generate", "completes a prompt or each row of a file", run};

}  // namespace lowrank
