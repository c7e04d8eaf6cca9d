// lowrank generate: answers or continues a prompt (streamed), a conversation, or every row of a data set.
#include "infer/generate.h"

#include <iostream>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "cli/reported.h"
#include "cli/row_writer.h"
#include "data/dataset.h"
#include "session/asked/prompt_rows.h"
#include "session/chat_options.h"
#include "session/session.h"
#include "session/text_rows.h"

namespace lowrank {
namespace {

struct Options {
  SessionOptions session;
  GenerationOptions generation;
  ChatOptions chat;
  std::string prompt, messages, data, output, format;
  std::vector<std::string> adapters, columns;
  bool raw = false, json = false;

  /// Where an option that only a chat template gives a meaning to is given, its flag.
  const char* chat_option() const {
    return !messages.empty()                    ? "messages"
           : !chat.system.empty()               ? "system"
           : !chat.chat_template.empty()        ? "chat_template"
           : !chat.chat_template_kwargs.empty() ? "chat_template_kwargs"
                                                : nullptr;
  }
};

/// The key of the generated text in a row; the row's own completion is kept.
constexpr const char* result_key = "generated";
/// The key of the next best texts, where beam search returns several.
constexpr const char* others_key = "generated_others";

/// One text to go on from, and how the JSON result shows it.
struct Prompt {
  std::vector<int64_t> ids;
  nlohmann::ordered_json shown;
  bool continues_answer = false;  ///< the conversation ends with one, which the model goes on with
};

/// A prompt for a model with a chat template is a question; `format` is empty for one without, and with
/// `raw`.
Prompt read_prompt(const Tokenizer& tokenizer, const std::optional<ChatFormat>& format,
                   const Options& options) {
  if (!format) return {encode_prompt(tokenizer, options.prompt), {{"prompt", options.prompt}}, false};
  const bool is_question = options.messages.empty();
  const Conversation conversation = is_question ? question_of(options.chat, options.prompt)
                                                : conversation_from_file(options.messages, options.chat);
  ChatNotes notes;
  Prompt prompt{format->prompt(conversation, notes), {}};
  prompt.continues_answer =
      !conversation.messages.empty() && conversation.messages.back().value("role", "") == "assistant";
  for (const std::string& note : notes.warnings()) warn("{}", note);
  prompt.shown = is_question ? nlohmann::ordered_json{{"prompt", options.prompt}}
                             : nlohmann::ordered_json{{"messages", conversation.messages}};
  return prompt;
}

nlohmann::ordered_json shown(const Generation& made, const BeamOptions& beams) {
  nlohmann::ordered_json out{{"completion", made.text}, {"tokens", made.tokens}, {"ended", made.ended}};
  if (beams.any()) out["score"] = made.score;
  return out;
}

void generate_one(const OpenSession& session, const Tokenizer& tokenizer, const Prompt& prompt,
                  Options options) {
  if (session.bank) options.generation.adapters = {0};
  const TextSink stream = [](int64_t, const std::string& text) { std::cout << text << std::flush; };
  const auto results = generate(*session.model, session.hooks(), tokenizer, std::span(&prompt.ids, 1),
                                options.generation, options.json ? TextSink() : stream);
  session.checkpoint->check_unchanged();
  if (prompt.continues_answer && results[0].text.empty())
    warn(
        "the conversation ends with an answer, which the model goes on with and finds complete: nothing was "
        "added; end it with a question for a new answer");
  if (options.json) {
    nlohmann::ordered_json out = prompt.shown;
    out.update(shown(results[0], options.generation.beams));
    for (const Generation& other : results[0].others)
      out["others"].push_back(shown(other, options.generation.beams));
    std::cout << json_text(out);
  } else {
    for (const Generation& other : results[0].others) std::cout << "\n\n" << other.text;
  }
  std::cout << '\n';
}

PromptRows read_prompts(const Tokenizer& tokenizer, const Options& options) {
  const std::string adapter = options.adapters.size() == 1 ? adapter_path(options.adapters.front()) : "";
  PromptRows prompts = read_prompt_rows(tokenizer, {options.session.model, adapter, options.data,
                                                    options.format, options.columns, options.chat});
  if (any_has(prompts.rows, result_key)) warn("\"{}\" of the rows is replaced", result_key);
  if (options.generation.beams.num_return_sequences > 1 && any_has(prompts.rows, others_key))
    warn("\"{}\" of the rows is replaced", others_key);
  return prompts;
}

/// Writes rows as they are finished; those written before a signal or an error are kept.
void generate_rows(const OpenSession& session, const Tokenizer& tokenizer, PromptRows& prompts,
                   RowWriter& writer, const Options& given) {
  check_prompt_lengths(prompts, session.room());
  Options options = given;
  if (const auto number = session.adapter_number()) {
    for (size_t i = 0; i < prompts.ids.size(); ++i)
      options.generation.adapters.push_back(adapter_of(prompts.adapters[i], prompts.where[i], number));
  }
  const auto finished = [&](int64_t index, const Generation& made) {
    prompts.rows[index][result_key] = made.text;
    if (options.generation.beams.num_return_sequences > 1) {
      auto& others = prompts.rows[index][others_key] = nlohmann::ordered_json::array();
      for (const Generation& other : made.others) others.push_back(other.text);
    }
    writer.write(prompts.rows[index]);
  };
  try {
    generate(*session.model, session.hooks(), tokenizer, prompts.ids, options.generation, nullptr, finished);
    session.checkpoint->check_unchanged();
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

/// The chat format of a prompt or conversation, if it goes through a template. Errors: invalid for options
/// that need one where there is none.
std::optional<ChatFormat> chat_format(const Tokenizer& tokenizer, const Options& options) {
  const char* needs = options.chat_option();
  check_usage(!needs || !options.raw, "`{}` is for a chat template, which `raw` leaves out",
              needs ? needs : "");
  check_usage(options.chat.system.empty() || options.data.empty(),
              "`system` is for `prompt` or `messages`; conversations in rows bring their own");
  check_usage(!options.raw || options.data.empty(),
              "`raw` is for `prompt`; prompts in rows are always taken as they are");
  if (options.raw || !options.data.empty()) return std::nullopt;
  std::vector<std::string> adapters;
  for (const std::string& given : options.adapters) adapters.push_back(adapter_path(given));
  std::optional<ChatFormat> format =
      needs ? need_chat_format(options.session.model, adapters, tokenizer, options.chat)
            : find_chat_format(options.session.model, adapters, tokenizer, options.chat);
  if (format && adapters.size() == 1) warn_of_plain_rows(adapters.front());
  return format;
}

void check_options(const Options& options, const std::set<std::string>& arguments) {
  const std::string contradiction = options.generation.contradiction();
  check_usage(contradiction.empty(), "{}", contradiction);
  check_usage(!arguments.contains("prompt") || !options.prompt.empty(), "--prompt is empty; give a text");
  const auto given = [](const std::string& text) { return text.empty() ? 0 : 1; };
  require(
      {{"--model", &options.session.model},
       {"--prompt, --messages or --data", either(options.prompt, *either(options.messages, options.data))}});
  check_usage(given(options.prompt) + given(options.messages) + given(options.data) == 1,
              "give one of --prompt, --messages and --data");
  check_usage(!options.data.empty() || options.adapters.size() <= 1,
              "--prompt and --messages are for one adapter; give the prompts as rows (--data), each with its "
              "\"adapter\"");
}

int run(Arguments& arguments) {
  Options options;
  arguments.set_example("lowrank generate --model model.gguf --adapter adapter --prompt \"What is DNS?\"");
  arguments.add(options.session.fields());
  arguments.add(options.generation.fields());
  arguments.add(
      {repeatable(field("adapter", options.adapters, adapters_help)),
       any_text(field("prompt", options.prompt,
                      "a question, or for a model without chat template a text to continue; the result is "
                      "streamed to standard output")),
       field("messages", options.messages,
             "a conversation to answer: a file of JSON with messages and perhaps tools, or - for standard "
             "input"),
       field("raw", options.raw, "continues the prompt as it is, without the model's chat template")});
  arguments.add(options.chat.fields());
  arguments.add(
      {field("data", options.data,
             "rows with prompts: JSON lines, JSON array, CSV, TSV or Parquet; a file, a folder, or a pattern "
             "with *"),
       field("format", options.format, row_format_help), field("columns", options.columns, columns_help),
       field("output", options.output, "file for the rows with what is generated; empty: standard output"),
       field("json", options.json, "the result of --prompt or --messages as JSON")});
  if (!arguments.parse()) return 0;
  check_options(options, arguments.given());
  const Tokenizer tokenizer = load_tokenizer(options.session.model);
  std::optional<Prompt> prompt;
  std::optional<PromptRows> rows;
  std::optional<RowWriter> writer;
  if (const auto format = chat_format(tokenizer, options); options.data.empty()) {
    prompt = read_prompt(tokenizer, format, options);
    if (format) options.generation.end_tokens = format->end_tokens();
  } else {
    rows = read_prompts(tokenizer, options);
    options.generation.end_tokens = rows->end_tokens;
    writer.emplace(options.output, options.data);
  }
  const OpenSession session = open_session(options.session, options.adapters);
  check(session.checkpoint->spec().task == Task::causal_lm, ErrorKind::unsupported,
        "{}: an encoder generates no text; `lowrank classify` and `lowrank embed` are for it",
        options.session.model);
  prompt ? generate_one(session, tokenizer, *prompt, options)
         : generate_rows(session, tokenizer, *rows, *writer, options);
  return 0;
}

}  // namespace

extern const CommandInfo generate_command;
const CommandInfo generate_command{
    "generate", "answers or completes a prompt, a conversation or each row of a file", run};

}  // namespace lowrank
