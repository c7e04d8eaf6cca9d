// Prefix-embedding tuning (PreEmbed; Hu et al. 2021, arXiv 2106.09685, section 5.1): trained embeddings of
// l_p special tokens in front of the prompt ("prefixing") and of l_i more between prompt and completion
// ("infixing").
//   x = [P[0:l_p]; E(prompt); P[l_p:]; E(completion)], P [l_p + l_i, d]; positions count all tokens.
// P is initialised with the embeddings of random tokens. With l_i = 0 the file is PEFT's PROMPT_TUNING,
// otherwise our own (`prompt_embeddings`, peft_type PRE_EMBED).
#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "peft/core/registry.h"
#include "peft/low_rank/base_activations.h"
#include "peft/prompt/prompt_config.h"
#include "peft/prompt/virtual_tokens.h"

namespace lowrank {
namespace {

constexpr const char* key = "prompt_embeddings";

class PreEmbed final : public Method, public AdapterForm {
 public:
  std::vector<Field> fields() override {
    return {limited(field("num_prefix_tokens", prefix_, "l_p, rows in front of each sequence"), 0, 1 << 20),
            limited(field("num_infix_tokens", infix_, "l_i, rows between prompt and completion"), 0, 1 << 20),
            config_.field_of_modules()};
  }

  TrainPlan plan(const ModelSpec& spec) override {
    check(prefix_ + infix_ > 0, ErrorKind::invalid,
          "num_prefix_tokens and num_infix_tokens are both 0: nothing would train");
    width_ = spec.hidden_size;
    heads_ = spec.heads;
    TrainPlan plan;
    plan.parameters.push_back({key, {prefix_ + infix_, width_}});
    plan.targets.push_back(fmt::format("{} virtual tokens", prefix_ + infix_));
    plan.context_rows = prefix_ + infix_;
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
    rows_.copy_(embedded_tokens(base, sampled_tokens(prefix_ + infix_, base.spec().vocabulary_size, random)));
    config_.initialise(base, seed);
  }

  void layout(Batch& batch) const override { insert_virtual_tokens(batch, prefix_, infix_); }
  at::Tensor embed(const Place& place, const Embedding&, at::Tensor rows) const override {
    return with_virtual_rows(rows, *place.context.batch, rows_);
  }
  const TrainedTensors* trained_beside() const override { return &config_.saved(); }

  bool starts_from_base() const override { return false; }
  std::string why_not_merged() const override {
    return "its virtual tokens are rows of the input, which no weight holds";
  }
  LowRankForm low_rank_form() const override {
    return {{}, {fmt::format("{} virtual tokens among the text's", prefix_ + infix_)}};
  }

  AdapterForm& form() override { return *this; }
  const AdapterForm& form() const override { return *this; }
  AdapterFileNames names() const override { return infix_ == 0 ? AdapterFileNames() : own_files; }
  nlohmann::json config() const override {
    nlohmann::json config =
        config_.write(infix_ == 0 ? "PROMPT_TUNING" : "PRE_EMBED", prefix_ + infix_, width_, heads_);
    if (infix_ == 0) {
      config["prompt_tuning_init"] = "SAMPLE_VOCAB";
      for (const char* absent : {"prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs"})
        config[absent] = nullptr;
    } else {
      config["num_prefix_tokens"] = prefix_;
      config["num_infix_tokens"] = infix_;
    }
    return config;
  }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    const int64_t count = config_.read(config, where);
    prefix_ = read_count(config, "num_prefix_tokens", 0, where);
    infix_ = read_count(config, "num_infix_tokens", 0, where);
    check(count == prefix_ + infix_, ErrorKind::invalid,
          "{}: num_virtual_tokens {} is not num_prefix_tokens {} + num_infix_tokens {}", where, count,
          prefix_, infix_);
  }

 private:
  int64_t prefix_ = 16, infix_ = 8, width_ = 0, heads_ = 0;
  PromptConfig config_;
  at::Tensor rows_;  ///< P [l_p + l_i, d]
};

std::unique_ptr<Method> make() {
  return std::make_unique<PreEmbed>();
}

constexpr OptionExample examples[] = {
    {"prefix", R"({"num_infix_tokens": 0})"},
    {"infix", R"({"num_prefix_tokens": 0, "num_infix_tokens": 2})"},
};

}  // namespace

extern const MethodInfo pre_embed_method;
const MethodInfo pre_embed_method{"pre_embed",
                                  "Hu et al. 2021, arXiv 2106.09685, section 5.1",
                                  "trained embeddings in front of prompt and completion",
                                  3e-2,
                                  make,
                                  reads_type<"PRE_EMBED">,
                                  examples};

}  // namespace lowrank
