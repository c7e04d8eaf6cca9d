// Prompt tuning (Lester et al. 2021, arXiv 2104.08691): N trained rows in front of the embedded text.
//   x = [P; E(tokens)], P [N, d]; positions count both, so the last row predicts the first token.
// P is initialised with the embeddings of N random tokens or of a text's tokens, or with N(0, 1). The file is
// PEFT's: `prompt_embeddings` [N, d].
#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "peft/core/registry.h"
#include "peft/core/target_options.h"
#include "peft/low_rank/base_activations.h"
#include "peft/prompt/generated_prompt.h"
#include "peft/prompt/prompt_config.h"
#include "peft/prompt/virtual_tokens.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {
namespace {

constexpr const char* key = "prompt_embeddings";

struct Start {
  const char* name;
  const char* in_files;
};
constexpr Start starts[] = {{"random", "RANDOM"}, {"vocabulary", "SAMPLE_VOCAB"}, {"text", "TEXT"}};

class PromptTuning final : public Method, public AdapterForm {
 public:
  std::vector<Field> fields() override {
    return {virtual_tokens_field(count_),
            one_of(field("prompt_tuning_init", init_,
                         "initial rows: embeddings of random tokens (vocabulary), of the tokens of a text, "
                         "or N(0, 1) (random, PEFT's default)"),
                   {"vocabulary", "text", "random"}),
            field("prompt_tuning_init_text", text_, "the text; its tokens are cut or repeated to N"),
            config_.field_of_modules()};
  }

  TrainPlan plan(const ModelSpec& spec) override {
    check((init_ == "text") == !text_.empty(), ErrorKind::invalid,
          "prompt_tuning_init text and prompt_tuning_init_text need each other");
    width_ = spec.hidden_size;
    heads_ = spec.heads;
    TrainPlan plan;
    plan.parameters.push_back({key, {count_, width_}});
    plan.targets.push_back(fmt::format("{} virtual tokens", count_));
    plan.context_rows = count_;
    config_.plan(spec, plan);
    return plan;
  }

  void bind(const ParameterSet& parameters) override {
    rows_ = parameters.at(key);
    config_.bind(parameters);
  }
  void initialise(const Checkpoint& base, uint64_t seed) override {
    const at::NoGradGuard no_grad;
    Philox random(seed);
    if (init_ == "random") {
      fill_normal(rows_, random);
    } else {
      rows_.copy_(embedded_tokens(base, init_ == "text"
                                            ? text_tokens(base)
                                            : sampled_tokens(count_, base.spec().vocabulary_size, random)));
    }
    config_.initialise(base, seed);
  }

  void layout(Batch& batch) const override { insert_virtual_tokens(batch, count_); }
  at::Tensor embed(const Place& place, const Embedding&, at::Tensor rows) const override {
    return with_virtual_rows(rows, *place.context.batch, rows_);
  }
  const TrainedTensors* trained_beside() const override { return &config_.saved(); }

  bool starts_from_base() const override { return false; }
  std::string why_not_merged() const override {
    return "its virtual tokens are rows of the input, which no weight holds";
  }
  LowRankForm low_rank_form() const override {
    return {{}, {fmt::format("{} virtual tokens in front of the text", count_)}};
  }

  AdapterForm& form() override { return *this; }
  const AdapterForm& form() const override { return *this; }
  nlohmann::json config() const override {
    nlohmann::json config = config_.write("PROMPT_TUNING", count_, width_, heads_);
    config["prompt_tuning_init"] = std::ranges::find(starts, init_, &Start::name)->in_files;
    config["prompt_tuning_init_text"] = text_.empty() ? nlohmann::json() : nlohmann::json(text_);
    config["tokenizer_name_or_path"] = tokenizer_.empty() ? nlohmann::json() : nlohmann::json(tokenizer_);
    config["tokenizer_kwargs"] = nullptr;
    return config;
  }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    count_ = config_.read(config, where);
    std::string start = "RANDOM";
    const std::vector<Field> own{
        one_of(field("prompt_tuning_init", start, ""), {"RANDOM", "SAMPLE_VOCAB", "TEXT"}),
        field("prompt_tuning_init_text", text_, ""), field("tokenizer_name_or_path", tokenizer_, "")};
    apply(own,
          given_values(config, {{"prompt_tuning_init", "prompt_tuning_init"},
                                {"prompt_tuning_init_text", "prompt_tuning_init_text"},
                                {"tokenizer_name_or_path", "tokenizer_name_or_path"}}),
          where);
    if (start != "TEXT") text_.clear();
    init_ = std::ranges::find(starts, start, &Start::in_files)->name;
  }

 private:
  std::vector<int64_t> text_tokens(const Checkpoint& base) {
    // PEFT needs the tokenizer's path with the text.
    tokenizer_ = base.path().string();
    const std::vector<int64_t> tokens = load_tokenizer(base.path()).encode(text_, true);
    check(!tokens.empty(), ErrorKind::invalid, "prompt_tuning_init_text has no tokens");
    std::vector<int64_t> repeated;
    for (int64_t i = 0; i < count_; ++i) repeated.push_back(tokens[i % tokens.size()]);
    return repeated;
  }

  int64_t count_ = 20, width_ = 0, heads_ = 0;
  std::string init_ = "vocabulary", text_, tokenizer_;
  PromptConfig config_;
  at::Tensor rows_;  ///< P [N, d]
};

std::unique_ptr<Method> make() {
  return std::make_unique<PromptTuning>();
}

constexpr OptionExample examples[] = {
    {"random", R"({"prompt_tuning_init": "random", "num_virtual_tokens": 3})"},
    {"saved", R"({"modules_to_save": ["0"]})"},
};

}  // namespace

extern const MethodInfo prompt_tuning_method;
const MethodInfo prompt_tuning_method{"prompt_tuning",
                                      "Lester et al. 2021, arXiv 2104.08691",
                                      "trained rows in front of the embedded text",
                                      3e-2,
                                      make,
                                      reads_type<"PROMPT_TUNING">,
                                      examples};

}  // namespace lowrank
