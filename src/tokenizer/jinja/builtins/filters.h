#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tokenizer/jinja/builtins/call.h"

namespace lowrank::jinja {

/// A filter: the call's subject is what stands before the bar.
struct Filter {
  std::string_view name;
  Value (*run)(const Call& call);
};

/// Number of a filter in the table, -1: there is none of this name.
int32_t filter_number(std::string_view name);
/// What is said of an unknown filter.
std::string unknown_filter(std::string_view name);
/// Whether jinja2 has the filter, but it is left out here.
bool left_out_filter(std::string_view name);

/// Runs the filter of this number. Errors: invalid for wrong types and arguments.
Value run_filter(int32_t number, const Call& call);

/// The filters by kind; each group is in its own file.
std::span<const Filter> text_filters();
std::span<const Filter> value_filters();
std::span<const Filter> list_filters();
std::span<const Filter> choice_filters();

}  // namespace lowrank::jinja
