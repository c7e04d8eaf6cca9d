#include "data/sources/parquet_module/json_rows.h"

#include <arrow/array.h>
#include <arrow/record_batch.h>
#include <arrow/scalar.h>
#include <arrow/type.h>
#include <arrow/util/float16.h>
#include <charconv>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string_view>

namespace lowrank {
namespace {

using arrow::Type;

/// Deeper values are refused when rows are read.
constexpr int most_levels = 32;

void find_impossible(const arrow::DataType& type, const std::string& name, int level,
                     std::vector<std::string>& found) {
  const auto visit_part = [&](const arrow::Field& part, const std::string& part_name) {
    if (level < most_levels) return find_impossible(*part.type(), part_name, level + 1, found);
    found.push_back(name + " (nested too deeply)");
  };
  switch (type.id()) {
    case Type::STRUCT:
      for (const auto& field : type.fields()) visit_part(*field, name + "." + field->name());
      break;
    case Type::LIST:
    case Type::LARGE_LIST:
    case Type::FIXED_SIZE_LIST:
      visit_part(*type.field(0), name);
      break;
    case Type::DICTIONARY:
      find_impossible(*static_cast<const arrow::DictionaryType&>(type).value_type(), name, level, found);
      break;
    case Type::BINARY:
    case Type::LARGE_BINARY:
    case Type::BINARY_VIEW:
    case Type::FIXED_SIZE_BINARY:
    case Type::MAP:
    case Type::SPARSE_UNION:
    case Type::DENSE_UNION:
    case Type::EXTENSION:
    case Type::LIST_VIEW:
    case Type::LARGE_LIST_VIEW:
    case Type::RUN_END_ENCODED:
    case Type::INTERVAL_MONTHS:
    case Type::INTERVAL_DAY_TIME:
    case Type::INTERVAL_MONTH_DAY_NANO:
      found.push_back(name + " (" + type.ToString() + ")");
      break;
    default:
      break;
  }
}

template <class Array>
auto value_at(const arrow::Array& array, int64_t at) {
  return static_cast<const Array&>(array).Value(at);
}

template <class Array>
std::string_view view_at(const arrow::Array& array, int64_t at) {
  return static_cast<const Array&>(array).GetView(at);
}

float half_at(const arrow::Array& array, int64_t at) {
  return arrow::util::Float16::FromBits(value_at<arrow::HalfFloatArray>(array, at)).ToFloat();
}

/// Writes values as JSON. Functions that return a bool return true if they wrote something.
class RowWriter {
 public:
  RowWriter(size_t most_bytes, std::string& text) : text_(text), most_size_(text.size() + most_bytes) {}

  void object(const arrow::RecordBatch& batch, int64_t row) {
    text_ += '{';
    for (int i = 0; i < batch.num_columns(); ++i)
      member(i == 0, batch.schema()->field(i)->name(), *batch.column(i), row);
    text_ += "}\n";
  }

 private:
  void member(bool first, const std::string& name, const arrow::Array& array, int64_t at) {
    if (!first) text_ += ',';
    string(name);
    text_ += ':';
    value(array, at);
  }

  void value(const arrow::Array& array, int64_t at) {
    if (text_.size() > most_size_) throw std::length_error("a row of more than 64 MB");
    if (array.IsNull(at)) {
      text_ += "null";
    } else if (!number_value(array, at) && !nested_value(array, at)) {
      text_value(array, at);
    }
  }

  /// False if the type is neither a number nor a boolean.
  bool number_value(const arrow::Array& array, int64_t at) {
    switch (array.type_id()) {
      case Type::BOOL:
        return plain(value_at<arrow::BooleanArray>(array, at) ? "true" : "false");
      case Type::INT8:
        return number(int{value_at<arrow::Int8Array>(array, at)});
      case Type::UINT8:
        return number(int{value_at<arrow::UInt8Array>(array, at)});
      case Type::INT16:
        return number(value_at<arrow::Int16Array>(array, at));
      case Type::UINT16:
        return number(value_at<arrow::UInt16Array>(array, at));
      case Type::INT32:
        return number(value_at<arrow::Int32Array>(array, at));
      case Type::UINT32:
        return number(value_at<arrow::UInt32Array>(array, at));
      case Type::INT64:
        return number(value_at<arrow::Int64Array>(array, at));
      case Type::UINT64:
        return number(value_at<arrow::UInt64Array>(array, at));
      case Type::HALF_FLOAT:
        return real(half_at(array, at));
      case Type::FLOAT:
        return real(value_at<arrow::FloatArray>(array, at));
      case Type::DOUBLE:
        return real(value_at<arrow::DoubleArray>(array, at));
      default:
        return false;
    }
  }

  /// False if the type has no parts.
  bool nested_value(const arrow::Array& array, int64_t at) {
    switch (array.type_id()) {
      case Type::LIST:
        return list<arrow::ListArray>(array, at);
      case Type::LARGE_LIST:
        return list<arrow::LargeListArray>(array, at);
      case Type::FIXED_SIZE_LIST:
        return list<arrow::FixedSizeListArray>(array, at);
      case Type::STRUCT:
        return structure(static_cast<const arrow::StructArray&>(array), at);
      case Type::DICTIONARY:
        return word(static_cast<const arrow::DictionaryArray&>(array), at);
      default:
        return false;
    }
  }

  void text_value(const arrow::Array& array, int64_t at) {
    switch (array.type_id()) {
      case Type::STRING:
        return string(view_at<arrow::StringArray>(array, at));
      case Type::LARGE_STRING:
        return string(view_at<arrow::LargeStringArray>(array, at));
      case Type::STRING_VIEW:
        return string(view_at<arrow::StringViewArray>(array, at));
      default:
        break;
    }
    const auto scalar = array.GetScalar(at);
    if (!scalar.ok()) throw std::runtime_error(scalar.status().message());
    string((*scalar)->ToString());
  }

  bool plain(std::string_view text) {
    text_ += text;
    return true;
  }

  bool word(const arrow::DictionaryArray& words, int64_t at) {
    value(*words.dictionary(), words.GetValueIndex(at));
    return true;
  }

  template <class Array>
  bool list(const arrow::Array& array, int64_t at) {
    const auto& lists = static_cast<const Array&>(array);
    const int64_t begin = lists.value_offset(at), end = begin + lists.value_length(at);
    text_ += '[';
    for (int64_t i = begin; i < end; ++i) {
      if (i > begin) text_ += ',';
      value(*lists.values(), i);
    }
    return plain("]");
  }

  bool structure(const arrow::StructArray& array, int64_t at) {
    text_ += '{';
    for (int i = 0; i < array.num_fields(); ++i)
      member(i == 0, array.struct_type()->field(i)->name(), *array.field(i), at);
    return plain("}");
  }

  template <class Number>
  bool number(Number number) {
    constexpr size_t longest = 64;
    char digits[longest];
    return plain({digits, std::to_chars(digits, digits + longest, number).ptr});
  }

  template <class Real>
  bool real(Real value) {
    if (!std::isfinite(value)) return plain("null");
    const size_t begin = text_.size();
    number(value);
    // A whole number stays one that was real.
    return text_.find_first_of(".e", begin) != std::string::npos || plain(".0");
  }

  void string(std::string_view value) {
    text_ += '"';
    size_t plain = 0;
    for (size_t i = 0; i < value.size(); ++i) {
      const auto c = static_cast<unsigned char>(value[i]);
      if (c >= ' ' && c != '"' && c != '\\') continue;
      text_ += value.substr(plain, i - plain);
      plain = i + 1;
      escape(c);
    }
    text_ += value.substr(plain);
    text_ += '"';
  }

  void escape(unsigned char c) {
    constexpr std::string_view hex = "0123456789abcdef";
    text_ += '\\';
    if (c >= ' ') {
      text_ += static_cast<char>(c);
    } else if (c == '\n') {
      text_ += 'n';
    } else {
      text_ += "u00";
      text_ += hex[c / 16];
      text_ += hex[c % 16];
    }
  }

  std::string& text_;
  size_t most_size_;
};

}  // namespace

std::vector<std::string> impossible_columns(const arrow::Schema& schema) {
  std::vector<std::string> found;
  for (const auto& field : schema.fields()) find_impossible(*field->type(), field->name(), 1, found);
  return found;
}

void append_row(const arrow::RecordBatch& batch, int64_t row, size_t most_bytes, std::string& text) {
  RowWriter(most_bytes, text).object(batch, row);
}

}  // namespace lowrank
