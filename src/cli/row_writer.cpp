#include "cli/row_writer.h"

#include <filesystem>
#include <iostream>

#include "base/error.h"
#include "data/rows/data_files.h"

namespace lowrank {

RowWriter::RowWriter(const std::string& path, const std::string& data) {
  if (path.empty()) return;
  if (!data.empty()) {
    for (const std::filesystem::path& file : data_files(data)) {
      std::error_code ignored;
      check(!std::filesystem::equivalent(file, path, ignored), ErrorKind::invalid,
            "{}: `output` is a file that `data` reads", path);
    }
  }
  file_.emplace(path);
}

void RowWriter::write(const nlohmann::ordered_json& row) {
  ++rows_;
  const std::string line = row_text(row) + '\n';
  if (file_) return file_->write(line);
  std::cout << line << std::flush;
  check(std::cout.good(), ErrorKind::io, "cannot write standard output");
}

void RowWriter::commit() {
  if (file_) file_->commit();
}

}  // namespace lowrank
