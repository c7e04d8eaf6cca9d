#include "data/sources/parquet_file.h"

#include <array>
#include <cstdlib>
#include <dlfcn.h>
#include <memory>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "data/sources/parquet_interface.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr const char* module_name = "liblowrank_parquet.so";

/// The folders of the program and of the library that holds this function; empty if unknown.
std::array<fs::path, 2> our_folders() {
  std::error_code error;
  std::array<fs::path, 2> folders{fs::read_symlink("/proc/self/exe", error).parent_path(), {}};
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&parquet_module), &info) && info.dli_fname)
    folders[1] = fs::path(info.dli_fname).parent_path();
  return folders;
}

const LowrankParquetModule& loaded_module(const std::string& file) {
  const std::optional<fs::path> path = parquet_module();
  check(path.has_value(), ErrorKind::unsupported,
        "{}: the file is a Parquet table, for which {} is missing: run \"tools/setup arrow\" and \"make\" in "
        "the "
        "program's source folder, or convert the file (Python: "
        "pandas.read_parquet(FILE).to_json(\"rows.jsonl\", "
        "orient=\"records\", lines=True))",
        file, module_name);
  // It stays: libraries with threads of their own are not unloaded.
  void* handle = dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  check(handle != nullptr, ErrorKind::unsupported,
        "{}: the file is a Parquet table, and {} cannot be loaded: {}", file, path->string(),
        handle ? "" : dlerror());
  const auto entry = reinterpret_cast<LowrankParquetEntry>(dlsym(handle, lowrank_parquet_entry));
  const LowrankParquetModule* module = entry ? entry() : nullptr;
  check(module && module->version == lowrank_parquet_version, ErrorKind::unsupported,
        "{}: the file is a Parquet table, and {} belongs to another version of the program", file,
        path->string());
  return *module;
}

class ParquetReader {
 public:
  ParquetReader(std::span<const std::byte> table, std::string file)
      : file_(std::move(file)), module_(loaded_module(file_)) {
    LowrankParquetReader* reader = nullptr;
    const bool opened = module_.open(table.data(), table.size(), &reader);
    reader_ = {reader, module_.close};
    if (!opened) fail_with_message();
  }

  size_t read(std::span<char> into) {
    const int64_t count = module_.read(reader_.get(), into.data(), into.size());
    if (count < 0) fail_with_message();
    return static_cast<size_t>(count);
  }

 private:
  [[noreturn]] void fail_with_message() const {
    const bool corrupt = module_.problem(reader_.get()) == lowrank_parquet_corrupt;
    fail(corrupt ? ErrorKind::corrupt : ErrorKind::unsupported, "{}: {}", file_,
         module_.message(reader_.get()));
  }

  std::string file_;
  const LowrankParquetModule& module_;
  std::unique_ptr<LowrankParquetReader, void (*)(LowrankParquetReader*)> reader_{nullptr, nullptr};
};

}  // namespace

std::optional<fs::path> parquet_module() {
  const char* named = std::getenv("LOWRANK_PARQUET");
  if (named && *named) return named;
  for (const fs::path& folder : our_folders()) {
    if (folder.empty()) continue;
    for (const char* below : {"", "lowrank", "../lib/lowrank", "../lib64/lowrank"}) {
      std::error_code error;
      const fs::path path = folder / below / module_name;
      if (fs::exists(path, error)) return path;
    }
  }
  return std::nullopt;
}

ReadBytes parquet_lines(std::span<const std::byte> table, std::string file) {
  return [reader = std::make_shared<ParquetReader>(table, std::move(file))](std::span<char> into) {
    return reader->read(into);
  };
}

}  // namespace lowrank
