#include "formats/gguf.h"

#include <iterator>

#include "base/error.h"
#include "base/one_line.h"
#include "formats/gguf_split.h"

namespace lowrank {

GgufFile GgufFile::open(const std::filesystem::path& path) {
  GgufFile file;
  file.parts_ = open_gguf_parts(path);
  size_t count = 0;
  for (const GgufPart& part : file.parts_) count += part.tensors.size();
  // The look-up points to names in this vector, which must not move.
  file.tensors_.reserve(count);
  for (GgufPart& part : file.parts_) {
    for (StoredTensor& tensor : part.tensors) {
      file.tensors_.push_back(std::move(tensor));
      const std::string& name = file.tensors_.back().name;
      check(file.by_name_.emplace(name, file.tensors_.size() - 1).second, ErrorKind::corrupt,
            "{}: tensor {} stands twice", part.file.path().string(), in_quotes(name));
    }
    part.tensors.clear();
  }
  return file;
}

void GgufFile::forget_pages() const {
  for (const GgufPart& part : parts_) part.file.forget_pages();
}

void GgufFile::check_unchanged() const {
  for (const GgufPart& part : parts_) part.file.check_unchanged();
}

const StoredTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace lowrank
