#include "peft/algebra/factored_update.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>

namespace lowrank {
namespace {

bool is_digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

/// Takes the digits at the front of `text`, without leading zeros.
std::string_view take_number(std::string_view& text) {
  const auto end = std::ranges::find_if_not(text, is_digit);
  std::string_view number = text.substr(0, static_cast<size_t>(end - text.begin()));
  text.remove_prefix(number.size());
  number.remove_prefix(std::min(number.find_first_not_of('0'), number.size()));
  return number;
}

}  // namespace

double inner_product(const FactoredUpdate& one, const FactoredUpdate& other) {
  const at::Tensor outputs = at::mm(one.b.to(at::kDouble).t(), other.b.to(at::kDouble));
  const at::Tensor inputs = at::mm(one.a.to(at::kDouble), other.a.to(at::kDouble).t());
  return one.scale * other.scale * (outputs * inputs).sum().item<double>();
}

double norm_of(const FactoredUpdate& update) {
  return std::sqrt(std::max(inner_product(update, update), 0.0));
}

bool natural_less(std::string_view one, std::string_view other) {
  std::string_view rest = one, other_rest = other;
  while (!rest.empty() && !other_rest.empty()) {
    if (is_digit(rest.front()) && is_digit(other_rest.front())) {
      const std::string_view first = take_number(rest);
      const std::string_view second = take_number(other_rest);
      if (first.size() != second.size()) return first.size() < second.size();
      if (first != second) return first < second;
    } else {
      if (rest.front() != other_rest.front()) return rest.front() < other_rest.front();
      rest.remove_prefix(1);
      other_rest.remove_prefix(1);
    }
  }
  if (rest.size() != other_rest.size()) return rest.size() < other_rest.size();
  return one < other;  // they differ in leading zeros at most
}

}  // namespace lowrank
