#include "data/rows/tokenised_row.h"

#include <algorithm>

#include "base/error.h"
#include "data/examples/example.h"
#include "data/rows/data_files.h"
#include "data/rows/row_fields.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;
using Ids = std::vector<int64_t>;

class Reader {
 public:
  Reader(const Json& row, const std::string& where) : row_(row), where_(where) {}

  Ids ids(const char* key) const {
    const auto found = row_.find(key);
    check(found != row_.end() && found->is_array(), ErrorKind::invalid, "{}: \"{}\" must be an array of ids",
          where_, key);
    Ids ids;
    ids.reserve(found->size());
    for (const Json& id : *found) {
      check(id.is_number_integer() && id >= -100 && id < (int64_t{1} << 31), ErrorKind::invalid,
            "{}: \"{}\" holds {}, which is no token id", where_, key, row_text(id));
      ids.push_back(id.get<int64_t>());
    }
    return ids;
  }

  /// Values parallel to `input_ids`; empty if the row has none.
  Ids beside(const char* key, size_t size) const {
    const auto found = row_.find(key);
    if (found == row_.end() || found->is_null()) return {};
    Ids values = ids(key);
    check(values.size() == size, ErrorKind::invalid, "{}: {} {} for {} input_ids", where_, values.size(), key,
          size);
    return values;
  }

  Ids mask(const char* key, size_t size) const {
    Ids values = beside(key, size);
    check(std::ranges::all_of(values, [](int64_t value) { return value == 0 || value == 1; }),
          ErrorKind::invalid, "{}: \"{}\" must hold 0 and 1 alone", where_, key);
    return values;
  }

 private:
  const Json& row_;
  const std::string& where_;
};

/// Tokens [begin, end) that are not padding.
std::pair<size_t, size_t> used(const Ids& mask, size_t size, const std::string& where) {
  if (mask.empty()) return {0, size};
  const auto begin = std::ranges::find(mask, 1);
  const auto end = std::find(begin, mask.end(), 0);
  check(std::find(end, mask.end(), 1) == mask.end(), ErrorKind::invalid,
        "{}: \"attention_mask\" has a hole; only padding at an end of the row can be left out", where);
  return {begin - mask.begin(), end - mask.begin()};
}

void cut(Ids& values, std::pair<size_t, size_t> used) {
  if (values.empty()) return;
  values.resize(used.second);
  values.erase(values.begin(), values.begin() + static_cast<int64_t>(used.first));
}

}  // namespace

void read_tokenised(const Json& json, const std::string& where, Row& row) {
  const Reader read(json, where);
  row.input_ids = read.ids("input_ids");
  const size_t size = row.input_ids.size();
  row.labels = read.beside("labels", size);
  if (row.labels.empty()) row.labels = row.input_ids;
  for (const char* key : {"completion_mask", "assistant_masks", "loss_mask"}) {
    const Ids mask = read.mask(key, size);
    for (size_t i = 0; i < mask.size(); ++i) {
      if (mask[i] == 0) row.labels[i] = no_target;
    }
  }
  const auto kept = used(read.mask("attention_mask", size), size, where);
  Ids types = read.beside("token_type_ids", size);
  Ids positions = read.beside("position_ids", size);
  for (Ids* values : {&row.input_ids, &row.labels, &types, &positions}) cut(*values, kept);
  check(std::ranges::all_of(types, [](int64_t type) { return type == 0; }), ErrorKind::invalid,
        "{}: \"token_type_ids\" other than 0 are not supported", where);
  for (size_t i = 0; i < positions.size(); ++i) {
    check(positions[i] == static_cast<int64_t>(i), ErrorKind::invalid,
          "{}: \"position_ids\" must count up from 0; packed rows must be written one a line", where);
  }
}

}  // namespace lowrank
