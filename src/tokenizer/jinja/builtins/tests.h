#pragma once

#include <string>
#include <string_view>

#include "tokenizer/jinja/builtins/call.h"

namespace lowrank::jinja {

/// Number of a test in the table, -1: there is none of this name.
int32_t test_number(std::string_view name);
/// What is said of an unknown test.
std::string unknown_test(std::string_view name);

/// Whether the call's subject passes the test of this number. Errors: invalid for wrong types and arguments.
bool run_test(int32_t number, const Call& call);

}  // namespace lowrank::jinja
