#pragma once

#include <optional>
#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "model/spec.h"
#include "peft/files/side_by_side.h"

namespace lowrank {

/// Names of the options of all methods.
std::set<std::string> all_method_options();

/// The adapter that a run starts from (`init_adapter`): its method, with the options that it was created
/// with.
struct StartingAdapter {
  std::string path;
  ModelSpec spec;          ///< of the model that it belongs to
  ChosenMethod chosen;     ///< valid until moved from
  std::string method;      ///< its name
  nlohmann::json options;  ///< values of the method's options, by name
};

/// Does not read the adapter's values. Errors: as read_spec and load_adapter, except for those values;
/// not_found.
StartingAdapter read_starting_adapter(const std::string& path, const std::string& model);

/// What a run trains: a method with its options, and the adapter that it starts from, if any.
struct RunStart {
  ChosenMethod chosen;
  std::string method;  ///< its name
  std::optional<StartingAdapter> adapter;
};

/// The start of a run with these options: without an adapter (empty `init_adapter`) the method, else the
/// adapter's own, unless `method` names another, which `check_starting_options` then refuses. `fallback`: the
/// method if neither is given. Errors: as read_starting_adapter and choose_method.
RunStart start_of_run(const std::string& method, const std::string& fallback, const std::string& init_adapter,
                      const std::string& model);

/// Checks the given options (the names `given` of `fields`, already set) against the adapter's method and
/// options, which the run keeps. Errors: invalid, listing all options that differ, with both values.
void check_starting_options(const StartingAdapter& start, std::span<const Field> fields,
                            const std::set<std::string>& given);

}  // namespace lowrank
