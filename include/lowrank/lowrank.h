#pragma once

// lowrank as a library: open a base model, attach adapters by name, train, evaluate, generate, merge, save.
// No header of another library is needed. Functions throw lowrank::Error. One computation runs at a time in a
// process: a call from another thread waits until the running one is done.

#include <cstdint>
#include <functional>
#include <lowrank/error.h>
#include <lowrank/options.h>
#include <lowrank/version.h>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank {

/// The version of the library, "0.1.0".
std::string_view version();

/// A method that trains adapters.
struct MethodDescription {
  std::string name, summary, paper;
  double default_learning_rate = 0;
};
std::vector<MethodDescription> list_methods();

struct ModelDescription {
  std::string family;  ///< "llama"
  std::string task;    ///< "causal_lm", "classification", "regression" or "embedding"
  int64_t parameters = 0;
  int64_t context = 0;              ///< positions
  std::vector<std::string> labels;  ///< of a classifier
};

struct AdapterDescription {
  std::string name, method;
  int64_t parameters = 0;  ///< trained values
};

/// A step of training.
struct TrainingStep {
  int64_t step = 0, total_steps = 0;
  double loss = 0;  ///< mean over the step's target tokens
  double learning_rate = 0;
  int64_t tokens = 0;
  double seconds = 0;
};

struct TrainingSummary {
  int64_t steps = 0, tokens = 0;
  double first_loss = 0, last_loss = 0;
  std::optional<double> best_evaluation_loss;
  int64_t best_step = 0;
  double seconds = 0;
  std::string output;  ///< the folder with the results; empty if none was asked for
};

/// What a caller may follow and stop. Empty callbacks are not called.
struct TrainingControl {
  std::function<void(const TrainingStep&)> after_step = {};
  std::function<void(int64_t step, double loss)> after_evaluation = {};
  std::stop_token stop = {};  ///< ends the run with an Error of kind `interrupted`, after a checkpoint
};

struct EvaluationSummary {
  double loss = 0;  ///< mean per target token; for labels as `lowrank evaluate` says
  int64_t target_tokens = 0;
  std::optional<double> accuracy, correlation;  ///< of classes; of values
  std::vector<double> rows;                     ///< the loss of each example
};

struct GeneratedText {
  std::string text;
  std::vector<int64_t> tokens;
  bool ended = false;  ///< by an end token or a stop text rather than by length
};

struct GenerationControl {
  /// Each new piece of text; pieces hold whole characters only.
  std::function<void(size_t prompt, std::string_view text)> on_text = {};
  std::stop_token stop = {};
};

struct MergeSummary {
  int64_t changed_tensors = 0, tensors = 0, bytes = 0;
  double update_kept = 1;                          ///< share of the adapter's update that rounding leaves
  std::optional<double> largest_logit_difference;  ///< against base and adapter, if checked
};

/// A base model and the adapters attached to it.
class Session {
 public:
  /// Opens a Hugging Face folder or a GGUF file; weights are loaded when they are first needed. Options:
  /// `dtype`, `base_memory`, `base_format`, `threads`.
  explicit Session(const std::string& model, const Options& options = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  ModelDescription model() const;

  /// Attaches an adapter (PEFT, AdapterHub or mlx-lm folder, GGUF LoRA) under a name. Errors: invalid for a
  /// name that is taken; as for files that are missing or broken.
  void attach(const std::string& name, const std::string& path);
  void detach(const std::string& name);
  std::vector<AdapterDescription> adapters() const;

  /// Trains an adapter and attaches it under `name`, in place of an earlier one. Options: those of `lowrank
  /// train` except `model`; `data` is needed, `output` may be missing if the adapter is wanted in memory
  /// only. A method that changes whole weights needs `output` and is not attached: its folder is a model.
  TrainingSummary train(const std::string& name, const Options& options, const TrainingControl& control = {});

  /// Options: those of `lowrank evaluate`; `adapter` is an attached name.
  EvaluationSummary evaluate(const Options& options, const std::stop_token& stop = {});

  /// Continues a prompt, or with `chat` answers it through the model's chat template. Options: those of
  /// `lowrank generate`; `adapter` is an attached name.
  GeneratedText generate(const std::string& prompt, const Options& options = {},
                         const GenerationControl& control = {});
  /// Continues several prompts together; texts do not depend on the grouping.
  std::vector<GeneratedText> generate(const std::vector<std::string>& prompts, const Options& options = {},
                                      const GenerationControl& control = {});

  /// Writes the base with an attached adapter merged into its weights, to a new folder or FILE.gguf. Options:
  /// those of `lowrank merge`.
  MergeSummary merge(const std::string& adapter, const std::string& output, const Options& options = {});

  /// Writes an attached adapter to a folder, in the files of its method.
  void save(const std::string& adapter, const std::string& folder) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How much the library logs: to `sink`, or (initially) to standard error. `warning` is false for mere
/// information. While rows are read beside the first steps of a run, lines also come from a thread of the
/// library's.
void set_log(std::function<void(bool warning, std::string_view line)> sink);

/// What the program `lowrank` sets for its own process, if a host wants the same: defaults of the numeric
/// libraries and of the allocator (environment variables that are not set yet, mallopt), and the processor
/// level LOWRANK_CPU. Call it before anything else. Without it the library changes nothing of its host.
void prepare_process();

}  // namespace lowrank
