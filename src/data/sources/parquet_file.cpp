#include "data/sources/parquet_file.h"

#include <dlfcn.h>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/modules/module_file.h"
#include "data/sources/parquet_interface.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr const char* module_name = "liblowrank_parquet.so";

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
  return module_file(module_name, "LOWRANK_PARQUET");
}

ReadBytes parquet_lines(std::span<const std::byte> table, std::string file) {
  return [reader = std::make_shared<ParquetReader>(table, std::move(file))](std::span<char> into) {
    return reader->read(into);
  };
}

}  // namespace lowrank
