#include "tokenizer/jinja/values/printing.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "base/text/characters.h"
#include "tokenizer/jinja/values/numbers.h"

namespace lowrank::jinja {
namespace {

void print_character(std::string& out, char32_t c, char quote) {
  if (c == '\n') {
    out += "\\n";
  } else if (c == '\r') {
    out += "\\r";
  } else if (c == '\t') {
    out += "\\t";
  } else if (c == '\\' || c == static_cast<char32_t>(quote)) {
    out += '\\';
    out += static_cast<char>(c);
  } else if (is_printable(c)) {
    append_character(out, c);
  } else if (c <= 0xFF) {
    out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
  } else {
    out += c <= 0xFFFF ? fmt::format("\\u{:04x}", static_cast<uint32_t>(c))
                       : fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
  }
}

void print_quoted(Text& out, const Text& text, Mark mark) {
  const std::string_view view = text.view();
  const bool single = view.find('\'') == std::string_view::npos || view.find('"') != std::string_view::npos;
  const char quote = single ? '\'' : '"';
  if (!view.empty()) mark = text.mark_at(0);
  if (text.markup) out.append("Markup(", mark);
  out.append({&quote, 1}, mark);
  text.each_run(0, view.size(), [&](size_t begin, size_t end, Mark own) {
    std::string piece;
    for (size_t at = begin; at < end;) {
      print_character(piece, next_character(view, at), quote);
      if (piece.size() > 4096) {
        out.append(piece, own);
        piece.clear();
      }
    }
    out.append(piece, own);
  });
  out.append({&quote, 1}, mark);
  if (text.markup) out.append(")", mark);
}

void print_items(Text& out, const Array<Value>& items, std::string_view open, std::string_view close,
                 Mark mark) {
  out.append(open, mark);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append(", ", mark);
    print_repr(out, items[i], mark);
  }
  out.append(close, mark);
}

void print_sequence(Text& out, const Sequence& sequence, Mark mark) {
  const Nesting nesting(sequence.heap());
  switch (sequence.row) {
    case Row::list:
      return print_items(out, sequence.items, "[", "]", mark);
    case Row::tuple:
      return print_items(out, sequence.items, "(", sequence.items.size() == 1 ? ",)" : ")", mark);
    case Row::keys:
      return print_items(out, sequence.items, "dict_keys([", "])", mark);
    case Row::values:
      return print_items(out, sequence.items, "dict_values([", "])", mark);
    case Row::items:
      return print_items(out, sequence.items, "dict_items([", "])", mark);
    case Row::range:
      out.append(sequence.step == 1
                     ? fmt::format("range({}, {})", sequence.start, sequence.stop)
                     : fmt::format("range({}, {}, {})", sequence.start, sequence.stop, sequence.step),
                 mark);
      return;
    case Row::generator:
      break;
  }
  fail(ErrorKind::invalid, "a generator prints as an address: pass it to `list` or `join`");
}

void print_dict(Text& out, const Dict& dict, Mark mark) {
  const Nesting nesting(dict.heap());
  out.append("{", mark);
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) out.append(", ", mark);
    print_repr(out, dict.entries[i].first, mark);
    out.append(": ", mark);
    print_repr(out, dict.entries[i].second, mark);
  }
  out.append("}", mark);
}

void print_namespace(Text& out, Namespace& space, Mark mark) {
  out.append("<Namespace ", mark);
  if (std::exchange(space.printing, true)) {
    out.append("{...}", mark);
  } else {
    print_dict(out, *space.members, mark);
    space.printing = false;
  }
  out.append(">", mark);
}

}  // namespace

void print_repr(Text& out, const Value& value, Mark mark) {
  const Object* object = value.object();
  if (object && object->origin >= 0) mark = {object->origin, 0};
  switch (value.kind()) {
    case Kind::undefined:
      return out.append("Undefined", mark);
    case Kind::none:
      return out.append("None", mark);
    case Kind::boolean:
      return out.append(value.boolean() ? "True" : "False", mark);
    case Kind::integer:
      return out.append(fmt::format("{}", value.integer()), mark);
    case Kind::real:
      return out.append(float_text(value.real()), mark);
    case Kind::digits:
      return out.append(value.view(), mark);
    case Kind::text:
      return print_quoted(out, value.text(), mark);
    case Kind::sequence:
      return print_sequence(out, value.sequence(), mark);
    case Kind::dict:
      return print_dict(out, value.dict(), mark);
    case Kind::space:
      return print_namespace(out, value.space(), mark);
    case Kind::loop:
    case Kind::callable:
      break;
  }
  fail(ErrorKind::invalid, "a {} prints as an address in memory: is a call or an attribute missing?",
       value.is(Kind::loop) ? "loop" : "function");
}

void print(Text& out, const Value& value) {
  if (value.is_text()) {
    out.append(value.text());
  } else if (!value.is_undefined()) {
    print_repr(out, value);
  }
}

Value as_text(Heap& heap, const Value& value) {
  if (value.is_text()) return value;
  Text text(heap);
  print(text, value);
  return text_value(std::move(text));
}

}  // namespace lowrank::jinja
