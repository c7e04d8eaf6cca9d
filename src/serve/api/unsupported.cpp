#include "serve/api/unsupported.h"

#include <array>
#include <string_view>

#include "data/conversations/json_values.h"
#include "serve/api/refusal.h"

namespace lowrank::serve {
namespace {

/// Parameters that change what is generated.
constexpr std::array<std::string_view, 43> changing{"suffix",
                                                    "functions",
                                                    "function_call",
                                                    "guided_json",
                                                    "guided_regex",
                                                    "guided_choice",
                                                    "guided_grammar",
                                                    "structured_outputs",
                                                    "grammar",
                                                    "json_schema",
                                                    "use_beam_search",
                                                    "length_penalty",
                                                    "min_tokens",
                                                    "bad_words",
                                                    "allowed_token_ids",
                                                    "prompt_logprobs",
                                                    "truncate_prompt_tokens",
                                                    "include_stop_str_in_output",
                                                    "mirostat",
                                                    "dynatemp_range",
                                                    "xtc_probability",
                                                    "dry_multiplier",
                                                    "typical_p",
                                                    "tfs_z",
                                                    "top_n_sigma",
                                                    "samplers",
                                                    "audio",
                                                    "prediction",
                                                    "web_search_options",
                                                    "image_data",
                                                    "cfg_scale",
                                                    "n_keep",
                                                    "id_slot",
                                                    "n_probs",
                                                    "n_discard",
                                                    "no_repeat_ngram_size",
                                                    "logits_processors",
                                                    "echo_logprobs",
                                                    "adapter_id",
                                                    "adapters",
                                                    "prompt_embeds",
                                                    "thinking_budget_tokens",
                                                    "input_prefix"};

/// Values of some of them that ask for nothing although they are not 0, false or empty.
bool is_neutral(std::string_view name, const Json& value) {
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number()) {
    const double real = value.get<double>();
    const bool one =
        name == "typical_p" || name == "tfs_z" || name == "length_penalty" || name == "cfg_scale";
    return real == 0 || (one && real == 1) || (real == -1 && (name == "id_slot" || name == "top_n_sigma"));
  }
  return value.empty() || (value.is_string() && value.get_ref<const std::string&>().empty()) ||
         (name == "function_call" && value == "none");
}

void check_choice(const Parameters& given, std::string_view name,
                  std::initializer_list<std::string_view> allowed) {
  const Json* found = given.find(name);
  if (!found) return;
  for (const std::string_view one : allowed) {
    if (*found == one) return;
  }
  refuse(std::string(name), "`{}` is not supported here but for {}", name, fmt::join(allowed, " and "));
}

}  // namespace

void refuse_unsupported(const Parameters& given) {
  for (const std::string_view name : changing) {
    const Json* found = given.find(name);
    if (found && !is_neutral(name, with_numbers(*found)))
      refuse(std::string(name), "`{}` is not supported; leave it out", name);
  }
  check_choice(given, "tool_choice", {"auto", "none"});
  if (given.flag("skip_special_tokens") == false)
    refuse("skip_special_tokens", "`skip_special_tokens` cannot be false here: special tokens are no text");
  if (const Json* format = given.find("response_format")) {
    const auto type = Parameters(*format, "response_format").text("type");
    if (type != "text")
      refuse("response_format", "`response_format` is not supported but for {{\"type\": \"text\"}}");
  }
  if (const Json* modalities = given.find("modalities")) {
    if (*modalities != Json::array({"text"}))
      refuse("modalities", "`modalities` is not supported but for [\"text\"]");
  }
}

}  // namespace lowrank::serve
