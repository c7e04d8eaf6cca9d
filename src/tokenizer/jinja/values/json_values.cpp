#include "tokenizer/jinja/values/json_values.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "base/text/characters.h"
#include "tokenizer/core/byte_level.h"
#include "tokenizer/jinja/values/comparison.h"
#include "tokenizer/jinja/values/numbers.h"

namespace lowrank::jinja {
namespace {

using Json = nlohmann::ordered_json;

Value checked_text(Heap& heap, const std::string& text, int origin) {
  check(!first_malformed(text), ErrorKind::corrupt, "a string of the data is not UTF-8");
  return text_value(heap, text, {origin, 0});
}

Value digits_value(Heap& heap, std::string_view digits, int origin) {
  return {Kind::digits, heap.make<TextObject>(Text(heap, digits, {origin, 0}))};
}

/// A number kept as its source text.
Value number_value(Heap& heap, const Json::binary_t& bytes, int origin) {
  const std::string text(bytes.begin(), bytes.end());
  if (text.find_first_of(".eE") == std::string::npos) {
    if (const auto number = whole_number(text)) return *number;
    return digits_value(heap, text, origin);
  }
  const auto number = real_number(text);
  check(number.has_value(), ErrorKind::corrupt, "a number of the data cannot be read");
  return *number;
}

class Writer {
 public:
  Writer(Heap& heap, const JsonStyle& style) : heap_(heap), out_(heap), style_(style) {}

  Text take() { return std::move(out_); }

  void write(const Value& value, Mark mark) {
    const Object* object = value.object();
    if (object && object->origin >= 0) mark = {object->origin, 0};
    switch (value.kind()) {
      case Kind::none:
        return out_.append("null", mark);
      case Kind::boolean:
        return out_.append(value.boolean() ? "true" : "false", mark);
      case Kind::integer:
        return out_.append(fmt::format("{}", value.integer()), mark);
      case Kind::real:
        return write_real(value.real(), mark);
      case Kind::digits:
        return out_.append(value.view(), mark);
      case Kind::text:
        return write_string(value.text(), mark);
      case Kind::sequence:
        if (value.sequence().row <= Row::tuple) return write_list(value.sequence(), mark);
        break;
      case Kind::dict:
        return write_dict(value.dict(), mark);
      default:
        break;
    }
    fail(ErrorKind::invalid, "Object of type {} is not JSON serializable", type_name(value.kind()));
  }

 private:
  void write_real(double number, Mark mark) {
    if (std::isnan(number)) return out_.append("NaN", mark);
    if (std::isinf(number)) return out_.append(number > 0 ? "Infinity" : "-Infinity", mark);
    out_.append(float_text(number), mark);
  }

  void escape(std::string& piece, std::string_view view, size_t& at) {
    const size_t begin = at;
    const char32_t c = next_character(view, at);
    switch (c) {
      case '"':
        piece += "\\\"";
        return;
      case '\\':
        piece += "\\\\";
        return;
      case '\n':
        piece += "\\n";
        return;
      case '\r':
        piece += "\\r";
        return;
      case '\t':
        piece += "\\t";
        return;
      case '\b':
        piece += "\\b";
        return;
      case '\f':
        piece += "\\f";
        return;
      default:
        break;
    }
    if (c < 0x20 || (style_.ensure_ascii && c > 0x7F && c <= 0xFFFF)) {
      piece += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else if (style_.ensure_ascii && c > 0xFFFF) {
      const uint32_t rest = static_cast<uint32_t>(c) - 0x10000;
      piece += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
    } else {
      piece += view.substr(begin, at - begin);
    }
  }

  void write_string(const Text& text, Mark mark) {
    if (!text.empty()) mark = text.mark_at(0);
    out_.append("\"", mark);
    text.each_run(0, text.size(), [&](size_t begin, size_t end, Mark own) {
      std::string piece;
      for (size_t at = begin; at < end;) {
        escape(piece, text.view(), at);
        if (piece.size() > 4096) {
          out_.append(piece, own);
          piece.clear();
        }
      }
      out_.append(piece, own);
    });
    out_.append("\"", mark);
  }

  void new_line(Mark mark) {
    if (!style_.indent) return;
    out_.append("\n", mark);
    for (int i = 0; i < depth_; ++i) out_.append(*style_.indent, mark);
  }

  template <class Item>
  void write_items(char open, char close, size_t count, Mark mark, Item item) {
    const Nesting nesting(heap_);
    out_.append({&open, 1}, mark);
    ++depth_;
    for (size_t i = 0; i < count; ++i) {
      if (i > 0) out_.append(style_.between_items, mark);
      new_line(mark);
      item(i);
    }
    --depth_;
    if (count > 0) new_line(mark);
    out_.append({&close, 1}, mark);
  }

  void write_list(const Sequence& list, Mark mark) {
    write_items('[', ']', list.items.size(), mark, [&](size_t i) { write(list.items[i], mark); });
  }

  void write_key(const Value& key, Mark mark) {
    if (key.is_text()) return write_string(key.text(), mark);
    check(key.is_none() || key.is_number(), ErrorKind::invalid,
          "keys must be str, int, float, bool or None, not {}", type_name(key.kind()));
    out_.append("\"", mark);
    write(key, mark);
    out_.append("\"", mark);
  }

  void write_dict(const Dict& dict, Mark mark) {
    Array<size_t> places(heap_);
    for (size_t i = 0; i < dict.entries.size(); ++i) places.push_back(i);
    if (style_.sort_keys) {
      std::stable_sort(places.begin(), places.end(), [&](size_t a, size_t b) {
        return order(dict.entries[a].first, dict.entries[b].first) < 0;
      });
    }
    write_items('{', '}', places.size(), mark, [&](size_t i) {
      const auto& [key, value] = dict.entries[places[i]];
      write_key(key, mark);
      out_.append(style_.after_key, mark);
      write(value, mark);
    });
  }

  Heap& heap_;
  Text out_;
  const JsonStyle& style_;
  int depth_ = 0;
};

}  // namespace

Value value_of(Heap& heap, const Json& json, int origin) {
  const Nesting nesting(heap);
  switch (json.type()) {
    case Json::value_t::boolean:
      return json.get<bool>();
    case Json::value_t::number_integer:
      return json.get<int64_t>();
    case Json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      if (number <= uint64_t{INT64_MAX}) return static_cast<int64_t>(number);
      return digits_value(heap, fmt::format("{}", number), origin);
    }
    case Json::value_t::number_float:
      return json.get<double>();
    case Json::value_t::binary:
      return number_value(heap, json.get_binary(), origin);
    case Json::value_t::string:
      return checked_text(heap, json.get_ref<const std::string&>(), origin);
    case Json::value_t::array: {
      const Ref<Sequence> list = heap.make<Sequence>();
      list->origin = origin;
      for (const Json& item : json) list->push(value_of(heap, item, origin));
      return list;
    }
    case Json::value_t::object: {
      const Ref<Dict> dict = heap.make<Dict>();
      dict->origin = origin;
      for (const auto& [key, item] : json.items())
        dict->set(checked_text(heap, key, origin), value_of(heap, item, origin));
      return dict;
    }
    default:
      return Value::none();
  }
}

Value messages_of(Heap& heap, const Json& messages) {
  if (!messages.is_array()) return value_of(heap, messages, -1);
  const Ref<Sequence> list = heap.make<Sequence>();
  for (const Json& message : messages) {
    const auto index = static_cast<int>(list->items.size());
    list->push(value_of(heap, message, index));
    if (list->items.back().is(Kind::dict)) list->items.back().dict().message = index;
  }
  return list;
}

Text json_dump(Heap& heap, const Value& value, const JsonStyle& style) {
  Writer writer(heap, style);
  writer.write(value, {});
  return writer.take();
}

}  // namespace lowrank::jinja
