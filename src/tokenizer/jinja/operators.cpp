#include "tokenizer/jinja/operators.h"

#include "base/error.h"
#include "tokenizer/jinja/builtins/printf_format.h"
#include "tokenizer/jinja/values/comparison.h"
#include "tokenizer/jinja/values/string_functions.h"

namespace lowrank::jinja {
namespace {

bool is_row(const Value& value) {
  return value.is(Kind::sequence) && value.sequence().row <= Row::tuple;
}

Value add_texts(Heap& heap, const Text& a, const Text& b) {
  const bool markup = a.markup || b.markup;
  Text sum(heap);
  sum.append(markup ? escaped(a) : a);
  sum.append(markup ? escaped(b) : b);
  sum.markup = markup;
  return text_value(std::move(sum));
}

Value add_rows(Heap& heap, const Sequence& a, const Sequence& b) {
  check(a.row == b.row, ErrorKind::invalid, "a list and a tuple cannot be added");
  const Ref<Sequence> sum = heap.make<Sequence>(a.row);
  heap.work(static_cast<int64_t>(a.items.size() + b.items.size()) / 4);
  for (const Value& item : a.items) sum->push(item);
  for (const Value& item : b.items) sum->push(item);
  return sum;
}

Value repeat_row(Heap& heap, const Sequence& row, int64_t times) {
  const Ref<Sequence> result = heap.make<Sequence>(row.row);
  for (int64_t i = 0; i < times && !row.items.empty(); ++i) {
    heap.work(1 + static_cast<int64_t>(row.items.size()) / 4);
    for (const Value& item : row.items) result->push(item);
  }
  return result;
}

[[noreturn]] void refuse(Operation operation, const Value& a, const Value& b) {
  if (a.is_undefined()) fail(ErrorKind::invalid, "{}", a.undefined_message());
  if (b.is_undefined()) fail(ErrorKind::invalid, "{}", b.undefined_message());
  if (operation == Operation::add && a.is_text()) {
    fail(ErrorKind::invalid, "can only concatenate str (not \"{}\") to str: `~` joins values of any type",
         type_name(b.kind()));
  }
  fail(ErrorKind::invalid, "unsupported operand types for {}: '{}' and '{}'", symbol(operation),
       type_name(a.kind()), type_name(b.kind()));
}

/// a + b c modulo 2^64: bounds that are only printed may leave the range of 64 bits.
int64_t wrapped(int64_t a, int64_t b, int64_t c) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b) * static_cast<uint64_t>(c));
}

std::optional<int64_t> part(const Value* value) {
  if (!value || value->is_none()) return std::nullopt;
  check(value->is_whole(), ErrorKind::invalid, "a part of a slice must be a 64-bit integer, not '{}'",
        type_name(value->kind()));
  return value->integer();
}

}  // namespace

Value operate(Heap& heap, Operation operation, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return arithmetic(operation, a, b);
  if (operation == Operation::add) {
    if (a.is_text() && b.is_text()) return add_texts(heap, a.text(), b.text());
    if (is_row(a) && is_row(b)) return add_rows(heap, a.sequence(), b.sequence());
  }
  if (operation == Operation::multiply && (a.is_whole() || b.is_whole())) {
    const Value &times = a.is_whole() ? a : b, &other = a.is_whole() ? b : a;
    if (other.is_text()) return text_value(repeat(other.text(), times.integer()));
    if (is_row(other)) return repeat_row(heap, other.sequence(), times.integer());
  }
  if (operation == Operation::modulo && a.is_text()) {
    check(!a.text().markup, ErrorKind::unsupported, "`%` of a safe string is not supported");
    return text_value(printf_format(a.text(), b));
  }
  refuse(operation, a, b);
}

bool compare(Comparison comparison, const Value& a, const Value& b) {
  switch (comparison) {
    case Comparison::equal:
      return equal(a, b);
    case Comparison::unequal:
      return !equal(a, b);
    case Comparison::less:
      return order(a, b, "<") == -1;
    case Comparison::less_equal:
      return order(a, b, "<=") <= 0;
    case Comparison::greater:
      return order(a, b, ">") == 1;
    case Comparison::greater_equal: {
      const int compared = order(a, b, ">=");
      return compared == 0 || compared == 1;
    }
    case Comparison::in:
      return contains(b, a);
    case Comparison::not_in:
      return !contains(b, a);
  }
  return false;
}

Value slice_of(Heap& heap, const Value& object, const Value* begin, const Value* end, const Value* step) {
  if (object.is_undefined()) fail(ErrorKind::invalid, "{}", object.undefined_message());
  const int64_t stride = part(step).value_or(1);
  if (object.is_text()) return text_value(slice_text(object.text(), part(begin), part(end), stride));
  check(object.is(Kind::sequence) && object.sequence().row <= Row::range, ErrorKind::invalid,
        "'{}' object has no slices", type_name(object.kind()));
  const Sequence& source = object.sequence();
  const auto [from, count, to] =
      slice_bounds(static_cast<int64_t>(source.items.size()), part(begin), part(end), stride);
  const Ref<Sequence> result = heap.make<Sequence>(source.row);
  result->origin = source.origin;
  heap.work(count / 4);
  for (int64_t i = 0; i < count; ++i) result->push(source.items[static_cast<size_t>(from + i * stride)]);
  if (source.row == Row::range) {
    result->start = wrapped(source.start, from, source.step);
    result->stop = wrapped(source.start, to, source.step);
    result->step = wrapped(0, source.step, stride);
  }
  return result;
}

}  // namespace lowrank::jinja
