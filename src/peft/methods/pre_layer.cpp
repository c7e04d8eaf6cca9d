// Prefix-layer tuning (PreLayer; Hu et al. 2021, arXiv 2106.09685, section 5.1): l_p special tokens in front
// of the prompt and l_i between prompt and completion, whose rows are trained at the input of every layer.
//   Theta [L, l_p + l_i, d]; Theta[0] are the rows that enter the first layer.
//   replace:     after layer l < L-1 the special rows become Theta[l+1]
//   add:         Theta[l+1] is added to them (scope all: its mean also to every other row)
//   concatenate: the l_p rows Theta[l+1] are put in front of those of the layers before, so that layer l has
//                (l+1) l_p rows; the text starts at position L l_p. No infix: rows go in front.
// Unlike in prefix tuning, the rows pass through each layer's norm and projections. Theta[0] is initialised
// with the embeddings of random tokens and Theta[l] with what the base computes from them there (add: zeros).
// Only this program reads the file: `prelayer_embeddings`, peft_type PRE_LAYER.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>

#include "base/error.h"
#include "peft/core/registry.h"
#include "peft/core/target_options.h"
#include "peft/low_rank/base_activations.h"
#include "peft/prompt/prompt_config.h"
#include "peft/prompt/virtual_tokens.h"

namespace lowrank {
namespace {

constexpr const char* key = "prelayer_embeddings";

class PreLayer final : public Method, public AdapterForm {
 public:
  std::vector<Field> fields() override {
    std::vector<Field> fields = mode_fields();
    fields.insert(
        fields.begin(),
        {limited(field("num_prefix_tokens", prefix_, "l_p, rows in front of each sequence"), 0, 1 << 20),
         limited(field("num_infix_tokens", infix_, "l_i, rows between prompt and completion"), 0, 1 << 20)});
    fields.push_back(config_.field_of_modules());
    return fields;
  }

  TrainPlan plan(const ModelSpec& spec) override {
    check(prefix_ + infix_ > 0, ErrorKind::invalid,
          "num_prefix_tokens and num_infix_tokens are both 0: nothing would train");
    check(!concatenates() || infix_ == 0, ErrorKind::invalid,
          "prelayer_mode concatenate puts rows in front of the earlier ones, where no infix can be: set "
          "num_infix_tokens to 0");
    check(scope_ == "special" || mode_ == "add", ErrorKind::invalid,
          "prelayer_scope all is for prelayer_mode add; {} has values for special rows alone", mode_);
    check(!concatenates() || !spec.rows_fixed, ErrorKind::unsupported,
          "prelayer_mode concatenate puts rows between layers, which a {} model cannot take: its layers also "
          "read "
          "earlier layers' rows",
          spec.family);
    layers_ = spec.layers;
    width_ = spec.hidden_size;
    heads_ = spec.heads;
    TrainPlan plan;
    plan.parameters.push_back({key, {layers_, prefix_ + infix_, width_}});
    plan.targets.push_back(fmt::format("{} virtual tokens in {} layers", prefix_ + infix_, layers_));
    plan.context_rows = concatenates() ? prefix_ * layers_ : prefix_ + infix_;
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
    rows_.copy_(layer_inputs(base, sampled_tokens(prefix_ + infix_, base.spec().vocabulary_size, random)));
    if (mode_ == "add") rows_.narrow(0, 1, layers_ - 1).zero_();
    config_.initialise(base, seed);
  }

  void layout(Batch& batch) const override {
    insert_virtual_tokens(batch, prefix_, infix_);
    if (concatenates()) shift_positions(batch, prefix_ * (layers_ - 1));
  }
  bool can_cache() const override { return !concatenates(); }
  at::Tensor embed(const Place& place, const Embedding&, at::Tensor rows) const override {
    return with_virtual_rows(rows, *place.context.batch, rows_[0]);
  }
  HiddenState layer_end(const Place& place, HiddenState hidden) const override {
    // The last layer's output for the special rows is only used for predictions.
    if (place.layer + 1 >= layers_) return hidden;
    const at::Tensor next = rows_[place.layer + 1];
    if (concatenates()) return concatenated(hidden, next);
    const at::Tensor sum = hidden.sum();
    if (mode_ == "replace")
      return {with_virtual_rows(sum, *place.context.batch, next), {}, std::move(hidden.layout)};
    const at::Tensor elsewhere = scope_ == "all" ? next.mean(0) : at::Tensor();
    const at::Tensor added = spread_virtual_rows(*place.context.batch, next, elsewhere);
    return {sum + added.to(sum.scalar_type()), {}, std::move(hidden.layout)};
  }
  const TrainedTensors* trained_beside() const override { return &config_.saved(); }

  bool starts_from_base() const override { return false; }
  std::string why_not_merged() const override {
    return "its rows stand among the hidden states, and no weight holds them";
  }
  LowRankForm low_rank_form() const override {
    return {{}, {fmt::format("rows of {} virtual tokens in every layer", prefix_ + infix_)}};
  }

  AdapterForm& form() override { return *this; }
  const AdapterForm& form() const override { return *this; }
  AdapterFileNames names() const override { return own_files; }
  nlohmann::json config() const override {
    nlohmann::json config = config_.write("PRE_LAYER", prefix_ + infix_, width_, heads_);
    config["num_prefix_tokens"] = prefix_;
    config["num_infix_tokens"] = infix_;
    config["prelayer_mode"] = mode_;
    config["prelayer_scope"] = scope_;
    return config;
  }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    config_.read(config, where);
    prefix_ = read_count(config, "num_prefix_tokens", 0, where);
    infix_ = read_count(config, "num_infix_tokens", 0, where);
    apply(mode_fields(),
          given_values(config, {{"prelayer_mode", "prelayer_mode"}, {"prelayer_scope", "prelayer_scope"}}),
          where);
  }

 private:
  std::vector<Field> mode_fields() {
    return {one_of(field("prelayer_mode", mode_, "what happens to the virtual tokens' rows after a layer"),
                   {"replace", "add", "concatenate"}),
            one_of(field("prelayer_scope", scope_,
                         "in mode add: only the virtual tokens' rows, or also the mean added to all others"),
                   {"special", "all"})};
  }
  bool concatenates() const { return mode_ == "concatenate"; }

  HiddenState concatenated(const HiddenState& hidden, const at::Tensor& next) const {
    SequenceLayout wider = with_rows_in_front(hidden.layout, prefix_);
    const at::Tensor sum = hidden.sum();
    const at::Tensor front = next.to(sum.scalar_type());
    std::vector<at::Tensor> pieces;
    for (size_t s = 0; s + 1 < hidden.layout.offsets.size(); ++s) {
      const int64_t begin = hidden.layout.offsets[s];
      pieces.push_back(front);
      pieces.push_back(sum.narrow(0, begin, hidden.layout.offsets[s + 1] - begin));
    }
    return {at::cat(pieces), {}, std::move(wider)};
  }

  int64_t prefix_ = 8, infix_ = 0, layers_ = 0, width_ = 0, heads_ = 0;
  std::string mode_ = "replace", scope_ = "special";
  PromptConfig config_;
  at::Tensor rows_;  ///< Theta [L, l_p + l_i, d]
};

std::unique_ptr<Method> make() {
  return std::make_unique<PreLayer>();
}

constexpr OptionExample examples[] = {
    {"added", R"({"prelayer_mode": "add"})"},
    {"added_to_all", R"({"prelayer_mode": "add", "prelayer_scope": "all"})"},
    {"concatenated", R"({"prelayer_mode": "concatenate", "num_prefix_tokens": 2, "num_infix_tokens": 0})"},
};

}  // namespace

extern const MethodInfo pre_layer_method;
const MethodInfo pre_layer_method{"pre_layer",
                                  "Hu et al. 2021, arXiv 2106.09685, section 5.1",
                                  "trained rows of special tokens in front of every layer",
                                  1e-2,
                                  make,
                                  reads_type<"PRE_LAYER">,
                                  examples};

}  // namespace lowrank
