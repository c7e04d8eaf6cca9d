#pragma once

#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "model/spec.h"
#include "peft/side_by_side.h"

namespace lowrank {

/// The options that any method has.
std::set<std::string> all_method_options();

/// The adapter that a run starts from (--init-adapter): its method, with the options that it was made with.
struct StartingAdapter {
  std::string path;
  ModelSpec spec;          ///< of the model that it belongs to
  ChosenMethod chosen;     ///< until it is moved from
  std::string method;      ///< its name
  nlohmann::json options;  ///< their values by name
};

/// Errors: as read_spec and load_adapter, but for the adapter's values; not_found.
StartingAdapter read_starting_adapter(const std::string& path, const std::string& model);

/// The run keeps the adapter's method and options. Errors: invalid, with both values, for all of those given
/// (the names `given` of `fields`, set) that say something else.
void check_starting_options(const StartingAdapter& start, std::span<const Field> fields,
                            const std::set<std::string>& given);

}  // namespace lowrank
