// Prefix tuning (Li and Liang 2021, arXiv 2101.00190): trained keys and values of N positions in front of
// each sequence, in every layer. The text starts at position N; keys are not rotated.
//   P [N, 2 L w], w = kv_heads * head_dim: slices 2l and 2l+1 of row i are the key and value of layer l.
//   Flat: P is trained. Reparametrised: P = W2 tanh(W0 e + b0) + b2, e [N, w], W0 [h, w], W2 [2 L w, h].
// PEFT's file holds P alone (`prompt_embeddings`); the encoder is stored beside it
// (peft/files/encoder_state.h). Without it, P itself is trained.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tanh.h>

#include "base/error.h"
#include "peft/core/registry.h"
#include "peft/core/target_options.h"
#include "peft/prompt/generated_prompt.h"
#include "peft/prompt/prompt_config.h"
#include "peft/prompt/virtual_tokens.h"

namespace lowrank {
namespace {

constexpr const char* key = "prompt_embeddings";
constexpr const char* embedding_key = "embedding.weight";

class PrefixTuning final : public Method, public AdapterForm {
 public:
  std::vector<Field> fields() override {
    return {limited(field("num_virtual_tokens", count_, "N, the keys and values in front of each sequence"),
                    1, 1 << 20),
            field("prefix_projection", projects_, "keys and values come from a trained encoder"),
            limited(field("encoder_hidden_size", hidden_, "h; 0: the width of the keys"), 0, 1 << 20),
            one_of(field("init_weights", init_,
                         "initial values: N(0, 1) (for an encoder its usual ones), or zero"),
                   {"random", "zero"}),
            config_.field_of_modules()};
  }

  TrainPlan plan(const ModelSpec& spec) override {
    check(spec.kv_heads > 0, ErrorKind::unsupported, "the family {} does not tell the width of its keys",
          spec.family);
    check(!spec.recurrent, ErrorKind::unsupported,
          "the family {} has layers without attention, which no keys and values can precede", spec.family);
    width_ = spec.kv_heads * spec.head_dim;
    heads_ = spec.kv_heads;
    if (hidden_ == 0) hidden_ = width_;
    const int64_t all = 2 * spec.layers * width_;
    TrainPlan plan;
    if (has_encoder()) {
      plan.parameters = {{embedding_key, {count_, width_}},
                         {"transform.0.weight", {hidden_, width_}},
                         {"transform.0.bias", {hidden_}},
                         {"transform.2.weight", {all, hidden_}},
                         {"transform.2.bias", {all}}};
    } else {
      plan.parameters = {{key, {count_, all}}};
    }
    plan.targets.push_back(fmt::format("{} keys and values in {} layers", count_, spec.layers));
    plan.context_rows = count_;
    plan.macs_per_token = 2 * spec.layers * count_ * spec.heads * spec.head_dim;
    config_.plan(spec, plan);
    return plan;
  }

  void bind(const ParameterSet& parameters) override {
    rows_ = parameters.at(has_encoder() ? embedding_key : key);
    if (has_encoder()) {
      inner_ = {parameters.at("transform.0.weight"), parameters.at("transform.0.bias")};
      outer_ = {parameters.at("transform.2.weight"), parameters.at("transform.2.bias")};
    }
    config_.bind(parameters);
  }
  void initialise(const Checkpoint& base, uint64_t seed) override {
    const at::NoGradGuard no_grad;
    Philox random(seed);
    fill_normal(rows_, random);
    if (has_encoder()) {
      inner_.initialise(random);
      outer_.initialise(random);
    }
    if (init_ == "zero") {
      (has_encoder() ? outer_.weight : rows_).zero_();
      if (has_encoder()) outer_.bias.zero_();
    }
    config_.initialise(base, seed);
  }

  void begin_step(const StepInfo&) override {
    if (has_encoder()) prompt_.begin_step([&] { return encode(); });
  }
  void end_backward() override {
    if (has_encoder()) prompt_.end_backward();
  }

  void layout(Batch& batch) const override { shift_positions(batch, count_); }
  std::optional<Prefix> prefix(const Place& place) const override {
    const at::Tensor& table = has_encoder() ? prompt_.value() : rows_;
    Prefix prefix;
    prefix.rows = {table.narrow(1, 2 * place.layer * width_, width_),
                   table.narrow(1, (2 * place.layer + 1) * width_, width_)};
    prefix.runs.assign(place.context.batch->sequences(), KeyRun{0, 0, count_, 0});
    return prefix;
  }
  const TrainedTensors* trained_beside() const override { return &config_.saved(); }

  bool starts_from_base() const override { return false; }
  std::string why_not_merged() const override {
    return "its keys and values stand beside those of the text, and no weight holds them";
  }
  LowRankForm low_rank_form() const override {
    return {{}, {fmt::format("{} keys and values in front of the text", count_)}};
  }

  AdapterForm& form() override { return *this; }
  const AdapterForm& form() const override { return *this; }
  std::string_view encoded_tensor() const override { return has_encoder() ? key : ""; }
  void drop_encoder() override { dropped_ = true; }
  std::vector<FileTensor> file_tensors(std::vector<FileTensor> planned) const override {
    if (!has_encoder()) return planned;
    const at::NoGradGuard no_grad;
    constexpr int of_encoder = 5;
    planned.erase(planned.begin(), planned.begin() + of_encoder);
    planned.insert(planned.begin(), {key, encode()});
    return planned;
  }

  nlohmann::json config() const override {
    nlohmann::json config = config_.write("PREFIX_TUNING", count_, width_, heads_);
    config["prefix_projection"] = projects_;
    config["encoder_hidden_size"] = hidden_;
    config["init_weights"] = init_ == "zero" ? nlohmann::json("zero") : nlohmann::json();
    return config;
  }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    count_ = config_.read(config, where);
    apply(fields(),
          given_values(config, {{"prefix_projection", "prefix_projection"},
                                {"encoder_hidden_size", "encoder_hidden_size"},
                                {"init_weights", "init_weights"}}),
          where);
  }

 private:
  bool has_encoder() const { return projects_ && !dropped_; }
  at::Tensor encode() const { return outer_(at::tanh(inner_(rows_))); }

  int64_t count_ = 20, width_ = 0, heads_ = 0, hidden_ = 0;
  bool projects_ = false, dropped_ = false;
  std::string init_ = "random";
  PromptConfig config_;
  at::Tensor rows_;  ///< P, or e
  EncoderLinear inner_, outer_;
  GeneratedPrompt prompt_;
};

std::unique_ptr<Method> make() {
  return std::make_unique<PrefixTuning>();
}

constexpr OptionExample examples[] = {
    {"projected", R"({"prefix_projection": true, "encoder_hidden_size": 6})"},
    {"zero", R"({"init_weights": "zero", "num_virtual_tokens": 3})"},
};

}  // namespace

extern const MethodInfo prefix_tuning_method;
const MethodInfo prefix_tuning_method{"prefix_tuning",
                                      "Li and Liang 2021, arXiv 2101.00190",
                                      "trained keys and values in front of each sequence",
                                      3e-2,
                                      make,
                                      reads_type<"PREFIX_TUNING">,
                                      examples};

}  // namespace lowrank
