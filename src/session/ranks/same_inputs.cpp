#include "session/ranks/same_inputs.h"

#include <set>
#include <vector>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/json.h"
#include "train/run_identity.h"

namespace lowrank {
namespace {

/// Of each tensor. Reading the whole base on each machine would take longer than loading it.
constexpr size_t bytes_looked_at = 4096;

/// What differs between rank 0's identity and this rank's, one clause each.
std::vector<std::string> differences_of(const nlohmann::json& first, const nlohmann::json& own) {
  std::set<std::string> names;
  for (const nlohmann::json* one : {&first, &own}) {
    for (const auto& [name, value] : one->items()) names.insert(name);
  }
  std::vector<std::string> clauses;
  for (const std::string& name : names) {
    const nlohmann::json there = first.value(name, nlohmann::json()),
                         here = own.value(name, nlohmann::json());
    if (there == here) continue;
    // Options are single words; what has a name of several is a fingerprint.
    const bool option = name.find(' ') == std::string::npos;
    clauses.push_back(option ? fmt::format("{} is {}, not {}", name, json_text(here), json_text(there))
                             : fmt::format("{} {} not the same", name, name.ends_with('s') ? "are" : "is"));
  }
  return clauses;
}

}  // namespace

std::string from_first(const std::optional<RankGroup>& ranks, const std::string& text) {
  return ranks ? ranks->from_first(text) : text;
}

void check_all_or_none(const RankGroup& ranks, bool given, std::string_view option) {
  const bool one = ranks.largest(given ? 1 : 0) == 1, all = ranks.largest(given ? 0 : 1) == 0;
  check(one == all, ErrorKind::invalid, "some ranks were started with `{}`, others without", option);
}

void check_same_inputs(const RankGroup& ranks, nlohmann::json identity, const Checkpoint& base) {
  identity["the base model"] = fingerprint_of(base, bytes_looked_at);
  for (const char* name : {"threads", "processor"}) identity.erase(name);
  const nlohmann::json first = nlohmann::json::parse(ranks.from_first(json_text(identity)));
  const std::vector<std::string> differences = differences_of(first, identity);
  check(differences.empty(), ErrorKind::invalid, "rank {} is not of the same run as rank 0: {}", ranks.rank(),
        fmt::join(differences, "; "));
}

}  // namespace lowrank
