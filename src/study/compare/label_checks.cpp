#include "study/compare/label_checks.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/one_line.h"
#include "study/compare/run_store.h"

namespace lowrank {
namespace {

constexpr size_t longest = 200;

bool is_line(const std::string& label) {
  return label.size() <= longest && label.find_first_not_of(' ') != std::string::npos &&
         std::ranges::none_of(label, [](unsigned char letter) { return letter < ' ' || letter == 0x7f; });
}

}  // namespace

void check_labels(const std::vector<std::string>& labels, std::vector<std::string>& problems) {
  std::map<std::string, std::string> by_folder = {{folder_name("base"), "base"}};
  for (const std::string& label : labels) {
    if (!is_line(label))
      problems.push_back(fmt::format("methods: the label {} is no short line of text", in_quotes(label)));
    const auto [known, added] = by_folder.emplace(folder_name(label), label);
    if (added) continue;
    problems.push_back(
        known->second == label
            ? fmt::format("methods: the label {} is given twice, or is the base's; give each entry a label",
                          in_quotes(label))
            : fmt::format("methods: the labels {} and {} are those of one folder, {}; change one of them",
                          in_quotes(known->second), in_quotes(label), known->first));
  }
}

}  // namespace lowrank
