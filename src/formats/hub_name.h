#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lowrank {

/// A model's name on the Hugging Face hub, as users write it: `OWNER/NAME[@REVISION][:FILE]`. Old models have
/// no owner.
struct HubName {
  std::string repository;         ///< OWNER/NAME
  std::string revision = "main";  ///< a branch, a tag or a commit
  std::string file;               ///< one file of it; empty: the whole model

  /// The command that downloads it.
  std::string fetch_command() const;
};

/// Reads a name in the characters that the hub allows; nothing for other texts. No part of it can lead out of
/// the cache's folder.
std::optional<HubName> hub_name(std::string_view text);

/// True for a name of at most 256 letters, digits and `-_.` that begins with neither `-` nor `.`: as a file's
/// name it stays in its folder.
bool is_plain_part(std::string_view part);

/// True for one to `most_parts` plain names between slashes.
bool is_plain_path(std::string_view path, int64_t most_parts);

/// True for the 40 lower-case hexadecimal digits of a commit.
bool is_commit(std::string_view text);

}  // namespace lowrank
