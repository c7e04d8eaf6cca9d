#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "peft/algebra/comparison.h"

namespace lowrank {

/// A sentence on what an adapter trains beside the factors that are compared; empty: nothing.
std::string told_beside(const FactoredAdapter& adapter);

/// The figures as JSON; what does not exist is null.
nlohmann::ordered_json json_of(const AdapterComparison& comparison);

/// The same as a table, the row of all modules last.
std::string table_of(const AdapterComparison& comparison);

}  // namespace lowrank
