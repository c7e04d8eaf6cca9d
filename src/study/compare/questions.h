#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "data/examples/example_store.h"
#include "metrics/texts.h"
#include "session/asked/prompt_rows.h"
#include "session/text_rows.h"
#include "study/benchmark/benchmark.h"

namespace lowrank {

/// Rows that are asked, read once for all runs.
struct Questions {
  std::string name;
  Answer answer = Answer::text;
  PromptRows prompts;     ///< for `text`
  TextRows texts;         ///< for `label` and `number`
  ExampleStore examples;  ///< for `loss`
  std::vector<metrics::References> references;

  /// How many rows there are.
  int64_t count() const { return std::ssize(references); }
  /// What a row asks, for readers.
  std::string shown(size_t row) const;
};

/// Reads rows for the model of this path, which has so many tokens; a text has at most `room` of them.
/// Errors: as read_prompt_rows, check_prompt_lengths, read_text_rows and load_dataset; corrupt if there is
/// not a list of references for each row.
Questions read_questions(const AskedRows& asked, Answer answer, const std::string& model,
                         const Tokenizer& tokenizer, int64_t vocabulary, int64_t room);

/// What a model answers to each row: a text, the name of a class, or a number as text. `labels`: of the
/// model's head, if any. Nothing for `loss`. Errors: as generate and score_texts.
std::vector<std::string> answers_to(const Questions& questions, const Model& model,
                                    const InferenceHooks& hooks, const Tokenizer& tokenizer,
                                    const GenerationOptions& generation, const LabelSet* labels);

/// The metrics of a benchmark by name, in order. Errors: as the metrics; invalid where one compares numbers
/// and an answer is none.
std::vector<std::pair<std::string, double>> scores_of(const std::vector<std::string>& answers,
                                                      const Questions& questions,
                                                      const BenchmarkScoring& scoring);

}  // namespace lowrank
