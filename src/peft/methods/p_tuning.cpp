// P-tuning (Liu et al. 2021, arXiv 2103.10385): the rows in front of the text are the output of an encoder on
// trained embeddings e [N, d].
//   MLP:  P = W4 relu(W2 relu(W0 e + b0) + b2) + b4, W0 [h, d], W2 [h, h], W4 [d, h]
//   LSTM: P = W2 relu(W0 LSTM(e) + b0) + b2, a bidirectional LSTM of h units over the N rows, W0 [2h, 2h]
// PEFT's file holds P alone (`prompt_embeddings` [N, d]); the encoder is stored beside it
// (peft/files/encoder_state.h). Without it, P itself is trained.
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/lstm.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "kernels/core/device.h"
#include "peft/core/registry.h"
#include "peft/core/target_options.h"
#include "peft/prompt/generated_prompt.h"
#include "peft/prompt/prompt_config.h"
#include "peft/prompt/virtual_tokens.h"

namespace lowrank {
namespace {

constexpr const char* key = "prompt_embeddings";
constexpr const char* embedding_key = "embedding.weight";

class PTuning final : public Method, public AdapterForm {
 public:
  std::vector<Field> fields() override {
    std::vector<Field> fields = encoder_fields();
    fields.insert(fields.begin(), virtual_tokens_field(count_));
    fields.push_back(config_.field_of_modules());
    return fields;
  }

  TrainPlan plan(const ModelSpec& spec) override {
    width_ = spec.hidden_size;
    heads_ = spec.heads;
    if (hidden_ == 0) hidden_ = width_;
    TrainPlan plan;
    plan.parameters.push_back({has_encoder_ ? embedding_key : key, {count_, width_}});
    if (has_encoder_) add_encoder(plan);
    plan.targets.push_back(fmt::format("{} virtual tokens", count_));
    plan.context_rows = count_;
    config_.plan(spec, plan);
    return plan;
  }

  void bind(const ParameterSet& parameters) override {
    rows_ = parameters.at(has_encoder_ ? embedding_key : key);
    mlp_.clear();
    lstm_.clear();
    for (const std::string& name : linear_names())
      mlp_.push_back({parameters.at(name + ".weight"), parameters.at(name + ".bias")});
    for (const auto& [name, shape] : lstm_shapes()) lstm_.push_back(parameters.at(name));
    config_.bind(parameters);
  }
  void initialise(const Checkpoint& base, uint64_t seed) override {
    Philox random(seed);
    fill_normal(rows_, random);
    const double bound = 1 / std::sqrt(static_cast<double>(hidden_));
    for (const at::Tensor& tensor : lstm_) fill_uniform(tensor, bound, random);
    for (const EncoderLinear& linear : mlp_) linear.initialise(random);
    config_.initialise(base, seed);
  }

  void begin_step(const StepInfo& info) override {
    if (!has_encoder_) return;
    prompt_.begin_step([&] { return encode(info); });
    const at::NoGradGuard no_grad;
    undropped_ = drops() ? encode({}) : at::Tensor();
  }
  void end_backward() override {
    if (has_encoder_) prompt_.end_backward();
  }

  void layout(Batch& batch) const override { insert_virtual_tokens(batch, count_); }
  at::Tensor embed(const Place& place, const Embedding&, at::Tensor rows) const override {
    const bool plain = drops() && !place.context.training;
    return with_virtual_rows(rows, *place.context.batch,
                             !has_encoder_ ? rows_
                             : plain       ? undropped_
                                           : prompt_.value());
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
  std::string_view encoded_tensor() const override { return has_encoder_ ? key : ""; }
  void drop_encoder() override { has_encoder_ = false; }
  std::vector<FileTensor> file_tensors(std::vector<FileTensor> planned) const override {
    if (!has_encoder_) return planned;
    const at::NoGradGuard no_grad;
    const size_t of_encoder = 1 + lstm_.size() + 2 * mlp_.size();
    planned.erase(planned.begin(), planned.begin() + static_cast<std::ptrdiff_t>(of_encoder));
    planned.insert(planned.begin(), {key, encode({})});
    return planned;
  }

  nlohmann::json config() const override {
    nlohmann::json config = config_.write("P_TUNING", count_, width_, heads_);
    config["encoder_reparameterization_type"] = type_;
    config["encoder_hidden_size"] = hidden_;
    config["encoder_num_layers"] = layers_;
    config["encoder_dropout"] = dropout_;
    return config;
  }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    count_ = config_.read(config, where);
    const std::vector<Field> own = encoder_fields();
    apply(own,
          given_values(config, {{"encoder_reparameterization_type", "encoder_reparameterization_type"},
                                {"encoder_hidden_size", "encoder_hidden_size"},
                                {"encoder_num_layers", "encoder_num_layers"},
                                {"encoder_dropout", "encoder_dropout"}}),
          where);
  }

 private:
  std::vector<Field> encoder_fields() {
    return {one_of(field("encoder_reparameterization_type", type_, "the encoder"), {"MLP", "LSTM"}),
            limited(field("encoder_hidden_size", hidden_, "h; 0: the model's hidden size"), 0, 1 << 20),
            limited(field("encoder_num_layers", layers_, "layers of the LSTM"), 1, 64),
            limited(field("encoder_dropout", dropout_,
                          "share of values between the layers of the LSTM that are zeroed in training"),
                    0, 0.99)};
  }

  bool is_lstm() const { return has_encoder_ && type_ == "LSTM"; }
  bool drops() const { return is_lstm() && dropout_ > 0 && layers_ > 1; }

  std::vector<std::string> linear_names() const {
    if (!has_encoder_) return {};
    if (is_lstm()) return {"mlp_head.0", "mlp_head.2"};
    return {"mlp_head.0", "mlp_head.2", "mlp_head.4"};
  }
  /// In the order that at::lstm expects.
  std::vector<std::pair<std::string, std::vector<int64_t>>> lstm_shapes() const {
    std::vector<std::pair<std::string, std::vector<int64_t>>> shapes;
    for (int64_t layer = 0; is_lstm() && layer < layers_; ++layer) {
      for (const char* direction : {"", "_reverse"}) {
        const std::string place = fmt::format("_l{}{}", layer, direction);
        const int64_t in = layer == 0 ? width_ : 2 * hidden_;
        shapes.push_back({"lstm_head.weight_ih" + place, {4 * hidden_, in}});
        shapes.push_back({"lstm_head.weight_hh" + place, {4 * hidden_, hidden_}});
        shapes.push_back({"lstm_head.bias_ih" + place, {4 * hidden_}});
        shapes.push_back({"lstm_head.bias_hh" + place, {4 * hidden_}});
      }
    }
    return shapes;
  }

  void add_encoder(TrainPlan& plan) const {
    for (auto& [name, shape] : lstm_shapes()) plan.parameters.push_back({name, shape});
    const std::vector<std::string> names = linear_names();
    int64_t in = is_lstm() ? 2 * hidden_ : width_;
    for (const std::string& name : names) {
      const int64_t out = name == names.back() ? width_ : is_lstm() ? 2 * hidden_ : hidden_;
      plan.parameters.push_back({name + ".weight", {out, in}});
      plan.parameters.push_back({name + ".bias", {out}});
      in = out;
    }
  }

  /// P; in step 0 without dropout.
  at::Tensor encode(const StepInfo& info) const {
    at::Tensor x = rows_;
    for (int64_t layer = 0; is_lstm() && layer < layers_; ++layer) {
      if (layer > 0 && info.step > 0 && drops())
        x = x * dropout_mask(x.sizes(), derive_seed(info.seed, static_cast<uint64_t>(info.step), layer));
      constexpr int64_t tensors = 8;
      const at::Tensor start = at::zeros({2, 1, hidden_}, x.options());
      // cuDNN's LSTM has no gradient otherwise; there is no dropout.
      const bool training = !on_cpu(x);
      x = std::get<0>(at::lstm(x.unsqueeze(0), {start, start},
                               at::TensorList(lstm_).slice(tensors * layer, tensors), true, 1, 0, training,
                               true, true))
              .squeeze(0);
    }
    for (size_t i = 0; i < mlp_.size(); ++i) x = mlp_[i](i > 0 ? at::relu(x) : x);
    return x;
  }

  at::Tensor dropout_mask(at::IntArrayRef shape, uint64_t seed) const {
    Philox random(seed);
    at::Tensor mask = at::empty(shape, at::kFloat);
    auto* values = mask.mutable_data_ptr<float>();
    for (int64_t i = 0; i < mask.numel(); ++i)
      values[i] = random.uniform() < dropout_ ? 0 : static_cast<float>(1 / (1 - dropout_));
    return mask.to(rows_.device(), rows_.scalar_type());
  }

  int64_t count_ = 20, width_ = 0, heads_ = 0;
  std::string type_ = "MLP";
  int64_t hidden_ = 0, layers_ = 2;
  double dropout_ = 0;
  bool has_encoder_ = true;
  PromptConfig config_;
  at::Tensor rows_;  ///< e, or P without an encoder, [N, d]
  std::vector<at::Tensor> lstm_;
  std::vector<EncoderLinear> mlp_;
  GeneratedPrompt prompt_;
  at::Tensor undropped_;  ///< P without dropout, if there is dropout
};

std::unique_ptr<Method> make() {
  return std::make_unique<PTuning>();
}

constexpr OptionExample examples[] = {
    {"lstm", R"({"encoder_reparameterization_type": "LSTM", "encoder_hidden_size": 6})"},
    {"deep_lstm",
     R"({"encoder_reparameterization_type": "LSTM", "encoder_hidden_size": 6, "encoder_num_layers": 2, "encoder_dropout": 0.3})"},
    {"narrow", R"({"encoder_hidden_size": 6, "num_virtual_tokens": 3})"},
};

}  // namespace

extern const MethodInfo p_tuning_method;
const MethodInfo p_tuning_method{"p_tuning",
                                 "Liu et al. 2021, arXiv 2103.10385",
                                 "rows in front of the text, given by a trained encoder",
                                 2e-3,
                                 make,
                                 reads_type<"P_TUNING">,
                                 examples};

}  // namespace lowrank
