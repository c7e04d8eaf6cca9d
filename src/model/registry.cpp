#include "model/registry.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/ranges.h>

#include "base/error.h"

namespace lowrank {
namespace {

using Names = std::span<const std::string_view> FamilyInfo::*;

const FamilyInfo& family_of(std::string_view name, Names names, std::string_view what,
                            std::string_view where) {
  std::vector<std::string> known;
  for (const FamilyInfo* family : families()) {
    if (std::ranges::find(family->*names, name) != (family->*names).end()) return *family;
    known.insert(known.end(), (family->*names).begin(), (family->*names).end());
  }
  fail(ErrorKind::unsupported, "{}: the {} '{}' is not known; known are {}", where, what, name,
       fmt::join(known, ", "));
}

}  // namespace

const FamilyInfo& family_of_model_type(std::string_view model_type, std::string_view where) {
  return family_of(model_type, &FamilyInfo::model_types, "model_type", where);
}

const FamilyInfo& family_of_gguf(std::string_view architecture, std::string_view where) {
  return family_of(architecture, &FamilyInfo::gguf_architectures, "general.architecture", where);
}

}  // namespace lowrank
