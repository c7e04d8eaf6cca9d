#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/core/tokenizer_spec.h"

namespace lowrank {

/// A chat template as a file holds it: Jinja source.
struct StoredTemplate {
  std::string name;  ///< "default", "tool_use", ...; of a file that the user names, its path
  std::string source;
  std::string where;  ///< file and key, for errors
};

/// The chat templates of a model or of an adapter's folder.
struct StoredTemplates {
  std::vector<StoredTemplate> templates;  ///< each name once; empty: a model without any
  /// The texts that templates see as variables: "bos_token", "eos_token", "unk_token", ...; those that are
  /// not set are absent, as in transformers.
  std::map<std::string, std::string> special_tokens;
  std::string where;  ///< the folder or file
};

/// Reads the templates that a place holds, as transformers does.
///
/// A folder: chat_template.jinja ("default") with additional_chat_templates/NAME.jinja; else `chat_template`
/// of tokenizer_config.json, a text or a list of {"name", "template"}; else that of chat_template.json. The
/// special tokens are those of tokenizer_config.json, else of special_tokens_map.json.
///
/// A GGUF file: tokenizer.chat_template ("default") and tokenizer.chat_template.NAME; the special tokens are
/// those of `tokens`, the file's own tokenizer.
///
/// Errors: corrupt for files that are laid out otherwise; invalid for templates that are not UTF-8 or larger
/// than 1 MiB, for more than 100 of them, and for links that lead out of the folder.
StoredTemplates read_chat_templates(const std::filesystem::path& place, const TokenizerSpec& tokens);

/// The same for an adapter: its own templates if its folder holds any, and its special tokens before the
/// model's; otherwise those of the model, `of_model`.
StoredTemplates chat_templates_with_adapter(const std::filesystem::path& adapter, StoredTemplates of_model);

/// The template to use. `wanted` is a file, or else one of the names; if it is empty: "tool_use" if the
/// conversation has tools and there is such a template, else "default", else none if there are no templates.
/// Errors: not_found, with the names, if nothing is called `wanted`; invalid, with the names, if one of
/// several must be named.
std::optional<StoredTemplate> choose_template(const StoredTemplates& stored, const std::string& wanted,
                                              bool has_tools);

}  // namespace lowrank
