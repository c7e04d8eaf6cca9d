#include "peft/core/registry.h"

#include <mutex>
#include <string>
#include <vector>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/nearest_name.h"

namespace lowrank {
namespace {

/// Methods that hosts added. The table of the program's own is fixed when it is built, and a session finds
/// the method of an adapter's file with nothing but a path.
struct AddedMethods {
  std::mutex mutex;
  std::vector<const MethodInfo*> infos;
};

AddedMethods& added_methods() {
  static AddedMethods added;
  return added;
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const MethodInfo* method : known_methods()) all.emplace_back(method->name);
  return all;
}

}  // namespace

void add_method(const MethodInfo& info) {
  for (const MethodInfo* known : known_methods())
    check(known->name != info.name, ErrorKind::invalid, "a method '{}' is known already", info.name);
  AddedMethods& added = added_methods();
  const std::scoped_lock lock(added.mutex);
  added.infos.push_back(&info);
}

std::vector<const MethodInfo*> known_methods() {
  std::vector<const MethodInfo*> all(methods().begin(), methods().end());
  AddedMethods& added = added_methods();
  const std::scoped_lock lock(added.mutex);
  all.insert(all.end(), added.infos.begin(), added.infos.end());
  return all;
}

const MethodInfo& method_named(std::string_view name) {
  for (const MethodInfo* method : known_methods()) {
    if (method->name == name) return *method;
  }
  const auto near = nearest_name(name, names());
  fail(ErrorKind::invalid, "the method '{}' is not known{}; known are {}", name,
       near ? fmt::format(" (did you mean {}?)", *near) : "", fmt::join(names(), ", "));
}

const MethodInfo& method_of_config(const nlohmann::json& config, const std::string& where) {
  check(config.is_object(), ErrorKind::invalid, "{}: no object of options", where);
  const bool peft = config.contains("peft_type");
  check(!peft || config["peft_type"].is_string(), ErrorKind::invalid, "{}: peft_type is no text", where);
  std::vector<const MethodInfo*> readers;
  for (const MethodInfo* method : known_methods()) {
    if (method->reads && method->reads(config)) readers.push_back(method);
  }
  check(readers.size() < 2, ErrorKind::unsupported, "{}: this configuration fits both {} and {}", where,
        readers.empty() ? "" : readers[0]->name, readers.size() < 2 ? "" : readers[1]->name);
  if (!readers.empty()) return *readers.front();
  check(peft || config.contains("config"), ErrorKind::invalid,
        "{}: no peft_type, as PEFT writes it, and no config, as AdapterHub does", where);
  fail(ErrorKind::unsupported, "{}: no method reads {} with these options; known methods are {}", where,
       peft ? "peft_type " + config["peft_type"].dump() : "this configuration of AdapterHub",
       fmt::join(names(), ", "));
}

}  // namespace lowrank
