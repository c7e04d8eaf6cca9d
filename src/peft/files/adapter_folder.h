#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

// An adapter is several files, and an interruption between two of them could leave a mixture. So a new one is
// written to a folder `adapter.next` beside the old one's files. That folder appears complete, by one rename,
// and from that moment the new adapter counts. Then its files replace the old ones, and the folder is
// removed.
namespace lowrank {

/// The files of adapter folders of every supported kind, configurations first.
std::span<const std::string_view> adapter_file_names();

/// The subfolder of an adapter's folder that holds a new adapter; it is left there only if a run was
/// interrupted.
inline constexpr std::string_view next_adapter_name = "adapter.next";

/// Where the adapter's files are: `path` itself, or the new adapter in it that has not yet been moved into
/// place.
std::filesystem::path adapter_place(const std::filesystem::path& path);

/// Puts the adapter that `write` writes (to the empty folder it is given) into `folder`, replacing one that
/// may be there; no other file is touched. If this is interrupted at any point, `adapter_place` returns
/// either the old adapter or the new one. Errors: those of `write`, and io; the old adapter is then
/// untouched, unless the error came after the rename, in which case the new one counts.
void replace_adapter(const std::filesystem::path& folder,
                     const std::function<void(const std::filesystem::path&)>& write);

}  // namespace lowrank
