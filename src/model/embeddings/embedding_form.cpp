#include "model/embeddings/embedding_form.h"

#include <array>
#include <vector>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

constexpr int64_t max_config_bytes = 1 << 20;

/// A configuration file, empty if there is none, whose members are read by type.
class Config {
 public:
  explicit Config(const std::filesystem::path& file) : where_(file.string()) {
    if (!std::filesystem::exists(file)) return;
    json_ = read_json_file(file, max_config_bytes);
    check(json_.is_object(), ErrorKind::corrupt, "{}: not a JSON object", where_);
  }
  Config(nlohmann::json json, std::string where) : json_(std::move(json)), where_(std::move(where)) {}

  const std::string& where() const { return where_; }

  /// The member, or null if it is missing.
  nlohmann::json find(const char* key) const {
    return json_.is_object() ? json_.value(key, nlohmann::json()) : nlohmann::json();
  }
  std::optional<std::string> text(const char* key) const {
    const nlohmann::json value = find(key);
    if (value.is_null()) return std::nullopt;
    require(value.is_string(), key, "a string", value);
    return value.get<std::string>();
  }
  bool flag(const char* key, bool otherwise) const {
    const nlohmann::json value = find(key);
    if (value.is_null()) return otherwise;
    require(value.is_boolean(), key, "true or false", value);
    return value.get<bool>();
  }
  /// A whole number above 0.
  std::optional<int64_t> count(const char* key) const {
    const nlohmann::json value = find(key);
    if (value.is_null()) return std::nullopt;
    const bool whole = value.is_number() && value.get<double>() >= 1 &&
                       (value.is_number_integer() || value.get<double>() >= 1e9);
    require(whole, key, "a whole number above 0", value);
    constexpr double most = 1 << 30;
    return static_cast<int64_t>(std::min(value.get<double>(), most));
  }
  std::vector<std::string> keys() const {
    std::vector<std::string> names;
    if (!json_.is_object()) return names;
    for (const auto& [name, value] : json_.items()) names.push_back(name);
    return names;
  }
  Config part(const char* key) const {
    const nlohmann::json value = find(key);
    require(value.is_null() || value.is_object(), key, "an object", value);
    return {value, fmt::format("{}: {}", where_, key)};
  }

  void require(bool holds, const char* key, std::string_view expected, const nlohmann::json& value) const {
    if (holds) return;
    fail(ErrorKind::corrupt, "{}: \"{}\" must be {}, not {}", where_, key, expected,
         one_line(value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace), 60));
  }

 private:
  nlohmann::json json_;
  std::string where_;
};

struct NamedPooling {
  std::string_view name, earlier_flag;
};
// In the order in which several are concatenated.
constexpr std::array<NamedPooling, 6> poolings{{
    {"cls", "pooling_mode_cls_token"},
    {"max", "pooling_mode_max_tokens"},
    {"mean", "pooling_mode_mean_tokens"},
    {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"},
    {"weightedmean", "pooling_mode_weightedmean_tokens"},
    {"lasttoken", "pooling_mode_lasttoken"},
}};

/// The names of the poolings: from `pooling_mode`, or in older files from one flag each; the mean if neither
/// gives one.
std::vector<std::string> pooling_names(const Config& config) {
  std::vector<std::string> names;
  const nlohmann::json mode = config.find("pooling_mode");
  if (mode.is_array()) {
    for (const nlohmann::json& name : mode) {
      config.require(name.is_string(), "pooling_mode", "a name, or several", mode);
      names.push_back(name.get<std::string>());
    }
  } else if (!mode.is_null()) {
    config.require(mode.is_string(), "pooling_mode", "a name, or several", mode);
    names.push_back(mode.get<std::string>());
  } else {
    for (const NamedPooling& pooling : poolings) {
      if (config.flag(std::string(pooling.earlier_flag).c_str(), false)) names.emplace_back(pooling.name);
    }
  }
  if (names.empty()) names.emplace_back("mean");
  return names;
}

Pooling pooling_of(const Config& config) {
  const std::vector<std::string> names = pooling_names(config);
  check(names.size() == 1, ErrorKind::unsupported,
        "{}: several poolings together ({}) are not supported; one of mean, cls and lasttoken is",
        config.where(), one_line(fmt::format("{}", fmt::join(names, ", ")), 100));
  if (names.front() == "mean") return Pooling::mean;
  if (names.front() == "cls") return Pooling::first;
  check(names.front() == "lasttoken", ErrorKind::unsupported,
        "{}: the pooling {} is not supported; mean, cls and lasttoken are", config.where(),
        in_quotes(names.front()));
  return Pooling::last;
}

struct SentenceModule {
  std::string kind;
  std::filesystem::path folder;
};

/// The modules in order; their folders are inside the model's.
std::vector<SentenceModule> read_modules(const std::filesystem::path& model) {
  const std::filesystem::path file = model / "modules.json";
  const nlohmann::json list = read_json_file(file, max_config_bytes);
  check(list.is_array(), ErrorKind::corrupt, "{}: not a JSON array of modules", file.string());
  std::vector<SentenceModule> modules;
  for (const nlohmann::json& entry : list) {
    const Config module(entry, fmt::format("{}: module {}", file.string(), modules.size() + 1));
    const std::string type = module.text("type").value_or("");
    const std::filesystem::path path = module.text("path").value_or("");
    const bool inside = path.is_relative() && std::ranges::find(path, "..") == path.end() &&
                        path.string().find('\0') == std::string::npos;
    check(inside, ErrorKind::corrupt, "{}: the path {} leads out of the model's folder", module.where(),
          in_quotes(path.string()));
    const std::string kind = type.substr(type.rfind('.') + 1);
    const bool known = kind == "Transformer" || kind == "Pooling" || kind == "Dense" || kind == "Normalize";
    check(known && type.starts_with("sentence_transformers."), ErrorKind::unsupported,
          "{}: {} is not supported; Transformer, Pooling, Dense and Normalize are", module.where(),
          in_quotes(type));
    modules.push_back({kind, model / path});
  }
  return modules;
}

/// Reads which texts the model takes: from sentence-transformers' own files first, then the tokenizer's.
void read_transformer(const std::filesystem::path& folder, EmbeddingForm& form) {
  const std::filesystem::path usual = folder / "sentence_bert_config.json";
  const Config config(std::filesystem::exists(usual) ? usual : folder / "sentence_roberta_config.json");
  form.lowercase = config.flag("do_lower_case", false);
  form.max_tokens = config.count("max_seq_length");
  for (const char* key : {"processor_kwargs", "tokenizer_args"}) {
    if (!form.max_tokens) form.max_tokens = config.part(key).count("model_max_length");
  }
  if (!form.max_tokens) form.max_tokens = Config(folder / "tokenizer_config.json").count("model_max_length");
}

void read_pooling(const std::filesystem::path& folder, int64_t width, EmbeddingForm& form) {
  const Config config(folder / "config.json");
  check(std::filesystem::exists(config.where()), ErrorKind::not_found, "{}: no such file", config.where());
  form.pooling = pooling_of(config);
  for (const char* key : {"embedding_dimension", "word_embedding_dimension"}) {
    const int64_t stated = config.count(key).value_or(width);
    check(stated == width, ErrorKind::corrupt,
          "{}: \"{}\" is {}, but the model's hidden states have {} values", config.where(), key, stated,
          width);
  }
  form.pools_prompt = config.flag("include_prompt", true);
  check(
      form.pools_prompt || form.prompt.empty(), ErrorKind::unsupported,
      "{}: \"include_prompt\": false, which leaves the prompt's tokens out of the pooling, is not supported",
      config.where());
}

/// Refuses a module that reads or writes something else than the text's vector.
void check_names(const Config& config) {
  for (const char* key : {"module_input_name", "module_output_name"}) {
    const std::string name = config.text(key).value_or("sentence_embedding");
    check(name == "sentence_embedding", ErrorKind::unsupported,
          "{}: \"{}\" {} is not supported; \"sentence_embedding\" is", config.where(), key, in_quotes(name));
  }
}

void read_normalize(const std::filesystem::path& folder) {
  check_names(Config(folder / "config.json"));
}

/// The prompts by name, and the one that every text gets.
void read_prompts(const std::filesystem::path& model, EmbeddingForm& form) {
  const Config config(model / "config_sentence_transformers.json");
  const Config prompts = config.part("prompts");
  for (const std::string& name : prompts.keys()) {
    if (std::optional<std::string> prompt = prompts.text(name.c_str()))
      form.prompts[name] = std::move(*prompt);
  }
  const std::optional<std::string> name = config.text("default_prompt_name");
  if (!name) return;
  const auto found = form.prompts.find(*name);
  check(found != form.prompts.end(), ErrorKind::corrupt,
        "{}: \"default_prompt_name\" is {}, which \"prompts\" lacks", config.where(), in_quotes(*name));
  form.prompt = found->second;
}

/// The layer that a Dense module's configuration and weights give, for vectors of `in` values.
DenseLayer read_dense(const std::filesystem::path& folder, int64_t in) {
  const Config config(folder / "config.json");
  check(std::filesystem::exists(config.where()), ErrorKind::not_found, "{}: no such file", config.where());
  const int64_t stated = config.count("in_features").value_or(in);
  check(stated == in, ErrorKind::corrupt, "{}: \"in_features\" is {}, but the vectors have {} values",
        config.where(), stated, in);
  const std::string name = config.text("activation_function").value_or("torch.nn.modules.activation.Tanh");
  const std::string kind = name.substr(name.rfind('.') + 1);
  check(kind == "Identity" || kind == "Tanh", ErrorKind::unsupported,
        "{}: the activation {} is not supported; Identity and Tanh are", config.where(), in_quotes(name));
  check_names(config);
  check(!config.flag("use_residual", false), ErrorKind::unsupported,
        "{}: \"use_residual\": true is not supported", config.where());
  return load_dense(folder / "model.safetensors", in, config.count("out_features"), config.flag("bias", true),
                    kind == "Tanh");
}

/// Refuses modules in another order than Transformer, Pooling, any number of Dense, and perhaps Normalize.
void check_order(const std::vector<SentenceModule>& modules, const std::filesystem::path& model) {
  std::vector<std::string> kinds;
  kinds.reserve(modules.size());
  for (const SentenceModule& module : modules) kinds.push_back(module.kind);
  bool in_order = kinds.size() >= 2 && kinds[0] == "Transformer" && kinds[1] == "Pooling";
  for (size_t i = 2; i < kinds.size(); ++i)
    in_order = in_order && (kinds[i] == "Dense" || (kinds[i] == "Normalize" && i + 1 == kinds.size()));
  check(in_order, ErrorKind::unsupported,
        "{}: the modules {} are not supported; Transformer, Pooling and then perhaps Dense and Normalize are",
        (model / "modules.json").string(),
        kinds.empty() ? "(none)" : fmt::format("{}", fmt::join(kinds, ", ")));
}

}  // namespace

std::string EmbeddingForm::prompt_of(const std::string& name_or_text) const {
  const auto found = prompts.find(name_or_text);
  const std::string& text = found == prompts.end() ? name_or_text : found->second;
  check(
      pools_prompt || text.empty(), ErrorKind::unsupported,
      "the model's pooling leaves a prompt's tokens out (\"include_prompt\": false), which is not supported");
  return text;
}

EmbeddingForm embedding_form(const std::filesystem::path& model, const ModelSpec& spec) {
  EmbeddingForm form;
  if (spec.task == Task::causal_lm) form.pooling = Pooling::last;
  if (!std::filesystem::exists(model / "modules.json")) return form;
  const std::vector<SentenceModule> modules = read_modules(model);
  check_order(modules, model);
  read_prompts(model, form);
  read_transformer(modules[0].folder, form);
  read_pooling(modules[1].folder, spec.hidden_size, form);
  for (size_t i = 2; i < modules.size(); ++i) {
    if (modules[i].kind == "Dense")
      form.dense.push_back(read_dense(modules[i].folder, form.width(spec.hidden_size)));
    else
      read_normalize(modules[i].folder);
  }
  form.normalised = modules.back().kind == "Normalize";
  return form;
}

Tokenizer tokenizer_for(Tokenizer tokenizer, const EmbeddingForm& form, const std::string& path) {
  if (!form.lowercase) return tokenizer;
  TokenizerSpec spec = tokenizer.spec();
  std::vector<NormalizerStep> steps{TextForm::lowercase};
  for (const NormalizerStep& step : spec.normalizer) steps.push_back(step);
  spec.normalizer = std::move(steps);
  return {std::move(spec), path};
}

}  // namespace lowrank
