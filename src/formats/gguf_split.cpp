#include "formats/gguf_split.h"

#include <string>

#include "base/error.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

/// The most parts that five digits in a name can count.
constexpr int64_t max_parts = 99999;

/// What a part says about itself.
struct Place {
  int64_t number = 0;
  int64_t parts = 1;
  int64_t tensors = 0;
};

Place place_of(const GgufPart& part) {
  const std::string where = part.file.path().string();
  Place place{part.get<int64_t>(split_number_key), part.get<int64_t>(split_count_key),
              part.get<int64_t>(split_tensors_key)};
  check(place.parts <= max_parts, ErrorKind::corrupt, "{}: {} is {}, more than {}", where, split_count_key,
        place.parts, max_parts);
  check(place.number >= 0 && place.number < place.parts, ErrorKind::corrupt, "{}: {} is {} where {} is {}",
        where, split_number_key, place.number, split_count_key, place.parts);
  return place;
}

std::string name_ending(int64_t number, int64_t parts) {
  return fmt::format("-{:05}-of-{:05}.gguf", number + 1, parts);
}

/// The file's name without the ending that its place requires.
std::string prefix_of(const fs::path& path, const Place& place) {
  const std::string name = path.filename().string();
  const std::string ending = name_ending(place.number, place.parts);
  if (!name.ends_with(ending)) {
    throw Error(
        ErrorKind::invalid,
        fmt::format("{}: part {} of a model in {} parts, whose name must end in {}", path.string(),
                    place.number + 1, place.parts, ending),
        "the other parts are found by their names; give all parts the names that they were made with");
  }
  return name.substr(0, name.size() - ending.size());
}

void check_present(const fs::path& path, const std::vector<fs::path>& parts) {
  constexpr size_t most_named = 3;
  std::string names;
  size_t missing = 0;
  for (const fs::path& part : parts) {
    std::error_code ignored;
    if (fs::exists(part, ignored)) continue;
    if (missing < most_named) {
      names += (missing > 0 ? ", " : "") + in_quotes(part.filename().string(), 255);
    }
    ++missing;
  }
  if (missing == 0) return;
  if (missing > most_named) names += fmt::format(" and {} more", missing - most_named);
  throw Error(ErrorKind::not_found,
              fmt::format("{}: of the model's {} parts {} missing: {}", path.string(), parts.size(),
                          missing == 1 ? "one is" : fmt::format("{} are", missing), names),
              "all parts must lie in one folder");
}

void check_part(const GgufPart& part, int64_t number, const Place& first) {
  const Place place = place_of(part);
  const auto expect = [&](std::string_view key, int64_t found, int64_t expected) {
    check(found == expected, ErrorKind::corrupt, "{}: {} is {} where {} is expected",
          part.file.path().string(), key, found, expected);
  };
  expect(split_count_key, place.parts, first.parts);
  expect(split_number_key, place.number, number);
  expect(split_tensors_key, place.tensors, first.tensors);
}

}  // namespace

std::vector<GgufPart> open_gguf_parts(const fs::path& path) {
  std::vector<GgufPart> parts;
  parts.push_back(GgufPart::open(path));
  if (parts.front().find<int64_t>(split_count_key).value_or(1) <= 1) return parts;
  const Place place = place_of(parts.front());
  const std::string prefix = prefix_of(path, place);
  std::vector<fs::path> paths;
  for (int64_t number = 0; number < place.parts; ++number) {
    paths.push_back(path.parent_path() / (prefix + name_ending(number, place.parts)));
  }
  check_present(path, paths);
  int64_t tensors = std::ssize(parts.front().tensors);
  for (int64_t number = 0; number < place.parts; ++number) {
    if (number == place.number) continue;
    GgufPart part = GgufPart::open(paths[static_cast<size_t>(number)]);
    // Each part is checked against the one that the user named, whose name is known to fit.
    check_part(part, number, place);
    tensors += std::ssize(part.tensors);
    parts.insert(parts.begin() + number, std::move(part));
  }
  check(tensors == place.tensors, ErrorKind::corrupt, "{}: {} is {}, the model's {} parts hold {}",
        path.string(), split_tensors_key, place.tensors, place.parts, tensors);
  return parts;
}

}  // namespace lowrank
