#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

// An adapter is several files, of which a stop between two could leave a mixture. So a new one is written to
// a folder `adapter.next` beside the old one's files: that it appears (complete, by one renaming) is the
// moment from which the adapter is the new one. Then its files take the old ones' places, and it goes.
namespace lowrank {

/// The files that make an adapter's folder one, of any kind that is read: the configurations first.
std::span<const std::string_view> adapter_file_names();

/// The folder in an adapter's folder that a new adapter comes from; there only where a run was cut off.
inline constexpr std::string_view next_adapter_name = "adapter.next";

/// Where the adapter's files are: `path` itself, or the new adapter in it that has not yet taken its place.
std::filesystem::path adapter_place(const std::filesystem::path& path);

/// Puts the adapter that `write` writes (to the empty folder that it is given) into `folder`, in place of one
/// that may be there; no other file is touched. Whenever this is cut off, `adapter_place` gives the old
/// adapter, or the new one. Errors: those of `write`, and io; the old adapter is then untouched, but for
/// errors of renaming, after which the new one counts.
void replace_adapter(const std::filesystem::path& folder,
                     const std::function<void(const std::filesystem::path&)>& write);

}  // namespace lowrank
