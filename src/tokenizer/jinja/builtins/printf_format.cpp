#include "tokenizer/jinja/builtins/printf_format.h"

#include <charconv>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "base/text/characters.h"
#include "tokenizer/jinja/values/numbers.h"
#include "tokenizer/jinja/values/printing.h"
#include "tokenizer/jinja/values/string_functions.h"

namespace lowrank::jinja {
namespace {

/// One directive: %[flags][width][.precision]letter.
struct Directive {
  bool left = false, zero = false, sign = false, space = false, alternative = false;
  int64_t width = 0;
  std::optional<int64_t> precision;
  char letter = 's';
};

class Formatter {
 public:
  Formatter(const Text& format, const Value& arguments)
      : format_(format), arguments_(arguments), heap_(format.heap()), out_(heap_) {
    is_tuple_ = arguments.is(Kind::sequence) && arguments.sequence().row == Row::tuple;
  }

  Text run() {
    const std::string_view view = format_.view();
    while (at_ < view.size()) {
      const size_t percent = std::min(view.find('%', at_), view.size());
      out_.append(format_, at_, percent);
      at_ = percent;
      if (at_ < view.size()) directive();
    }
    const bool unused = is_tuple_ ? used_ < arguments_.sequence().items.size()
                                  : used_ == 0 && !arguments_.is(Kind::dict) &&
                                        !arguments_.is(Kind::sequence) && !arguments_.is_undefined();
    check(!unused, ErrorKind::invalid, "not all arguments converted during string formatting");
    return std::move(out_);
  }

 private:
  const Value& next() {
    const size_t given = is_tuple_ ? arguments_.sequence().items.size() : 1;
    check(used_ < given, ErrorKind::invalid, "not enough arguments for format string");
    return is_tuple_ ? arguments_.sequence().items[used_++] : (++used_, arguments_);
  }

  int64_t number() {
    const std::string_view view = format_.view();
    int64_t value = 0;
    const auto result = std::from_chars(view.data() + at_, view.data() + view.size(), value);
    at_ = static_cast<size_t>(result.ptr - view.data());
    check(result.ec != std::errc::result_out_of_range && value <= heap_.limits().width, ErrorKind::invalid,
          "a width or precision above the limit of {}", heap_.limits().width);
    return value;
  }

  void directive() {
    const std::string_view view = format_.view();
    const Mark mark = format_.mark_at(at_);
    Directive d;
    for (++at_; at_ < view.size(); ++at_) {
      const char c = view[at_];
      if (c == '-') {
        d.left = true;
      } else if (c == '0') {
        d.zero = true;
      } else if (c == '+') {
        d.sign = true;
      } else if (c == ' ') {
        d.space = true;
      } else if (c == '#') {
        d.alternative = true;
      } else {
        break;
      }
    }
    d.width = number();
    if (at_ < view.size() && view[at_] == '.') {
      ++at_;
      d.precision = number();
    }
    check(at_ < view.size(), ErrorKind::invalid, "incomplete format");
    d.letter = view[at_++];
    if (d.letter == '%') return out_.append("%", mark);
    write(d, mark);
  }

  void write(const Directive& d, Mark mark) {
    Text text(heap_);
    switch (d.letter) {
      case 's':
      case 'r': {
        const Value& value = next();
        if (d.letter == 's') {
          print(text, value);
        } else {
          print_repr(text, value);
        }
        if (d.precision && *d.precision < text.length()) text = text.slice(0, text.offset_of(*d.precision));
        return out_.append(padded(text, d.width, " ", !d.left, d.left));
      }
      case 'c':
        text.append(character(next()), mark);
        return out_.append(padded(text, d.width, " ", !d.left, d.left));
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return write_number(d, whole(d, next()), mark);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return write_number(d, real(d, next()), mark);
      default:
        fail(ErrorKind::unsupported, "the format '%{}' is not supported", d.letter);
    }
  }

  static std::string character(const Value& value) {
    std::string text;
    if (value.is_text() && value.text().length() == 1) return std::string(value.view());
    check(value.is_whole() && value.integer() >= 0 && value.integer() < 0xD800, ErrorKind::invalid,
          "%c requires int or char");
    append_character(text, static_cast<char32_t>(value.integer()));
    return text;
  }

  static std::string whole(const Directive& d, const Value& value) {
    const bool decimal = d.letter == 'd' || d.letter == 'i' || d.letter == 'u';
    check(value.is_whole() || (decimal && value.is(Kind::real) && std::abs(value.real()) < 9e18),
          ErrorKind::invalid, "%{} format: a 64-bit integer is required, not {}", d.letter,
          type_name(value.kind()));
    const int64_t number = value.is(Kind::real) ? static_cast<int64_t>(value.real()) : value.integer();
    const uint64_t size = number < 0 ? -static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
    std::string digits = d.letter == 'x'   ? fmt::format("{:x}", size)
                         : d.letter == 'X' ? fmt::format("{:X}", size)
                         : d.letter == 'o' ? fmt::format("{:o}", size)
                                           : fmt::format("{}", size);
    if (d.precision && static_cast<int64_t>(digits.size()) < *d.precision) {
      digits.insert(0, static_cast<size_t>(*d.precision) - digits.size(), '0');
    }
    check(!d.alternative, ErrorKind::unsupported, "the flag '#' of formats is not supported");
    return (number < 0 ? "-" : "") + digits;
  }

  static std::string real(const Directive& d, const Value& value) {
    check(!d.alternative, ErrorKind::unsupported, "the flag '#' of formats is not supported");
    const double number = as_real(value);
    const int precision = static_cast<int>(d.precision.value_or(6));
    switch (d.letter) {
      case 'e':
        return fmt::format("{:.{}e}", number, precision);
      case 'E':
        return fmt::format("{:.{}E}", number, precision);
      case 'g':
        return fmt::format("{:.{}g}", number, precision);
      case 'G':
        return fmt::format("{:.{}G}", number, precision);
      default:
        return fmt::format("{:.{}f}", number, precision);
    }
  }

  void write_number(const Directive& d, std::string digits, Mark mark) {
    std::string sign;
    if (digits.starts_with('-')) {
      sign = "-";
      digits.erase(0, 1);
    } else if (d.sign || d.space) {
      sign = d.sign ? "+" : " ";
    }
    const auto width = static_cast<size_t>(d.width), size = sign.size() + digits.size();
    if (d.zero && !d.left && size < width) digits.insert(0, width - size, '0');
    Text text(heap_, sign + digits, mark);
    out_.append(padded(text, d.width, " ", !d.left, d.left));
  }

  const Text& format_;
  const Value& arguments_;
  Heap& heap_;
  Text out_;
  size_t at_ = 0, used_ = 0;
  bool is_tuple_ = false;
};

/// The argument that {field} names.
const Value& field_value(const Call& call, std::string_view field, size_t& automatic) {
  check(field.find_first_of(".[:!") == std::string_view::npos, ErrorKind::unsupported,
        "str.format supports only fields like {{}}, {{0}} and {{name}}, not '{{{}}}'", field);
  size_t index = 0;
  if (field.empty()) {
    index = automatic++;
  } else if (field[0] >= '0' && field[0] <= '9') {
    const auto result = std::from_chars(field.data(), field.data() + field.size(), index);
    check(result.ec == std::errc() && result.ptr == field.data() + field.size(), ErrorKind::invalid,
          "no argument '{}' for str.format", field);
  } else {
    for (const auto& [name, value] : call.named) {
      if (name == field) return value;
    }
    fail(ErrorKind::invalid, "no argument '{}' for str.format", field);
  }
  check(index < call.positional.size(), ErrorKind::invalid, "no argument {} for str.format", index);
  return call.positional[index];
}

}  // namespace

Text printf_format(const Text& format, const Value& arguments) {
  return Formatter(format, arguments).run();
}

Text brace_format(const Call& call) {
  const Text& format = call.subject.text();
  const std::string_view view = format.view();
  Text out(call.heap);
  size_t automatic = 0;
  for (size_t at = 0; at < view.size();) {
    const size_t brace = std::min(view.find_first_of("{}", at), view.size());
    out.append(format, at, brace);
    at = brace;
    if (at >= view.size()) break;
    if (at + 1 < view.size() && view[at + 1] == view[at]) {
      out.append(format, at, at + 1);
      at += 2;
      continue;
    }
    const size_t end = view.find('}', at);
    check(view[at] == '{' && end != std::string_view::npos, ErrorKind::invalid,
          "a single brace in the format string");
    print(out, field_value(call, view.substr(at + 1, end - at - 1), automatic));
    at = end + 1;
  }
  return out;
}

}  // namespace lowrank::jinja
