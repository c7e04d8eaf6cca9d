#include <lowrank/options.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace lowrank {

OptionValue::OptionValue(double value) : json_(json_text(nlohmann::json(value))) {}

OptionValue::OptionValue(std::string_view text) : json_(json_text(nlohmann::json(text))) {}

OptionValue::OptionValue(const std::vector<std::string>& texts) : json_(json_text(nlohmann::json(texts))) {}

OptionValue OptionValue::from_json(std::string_view text) {
  check(nlohmann::json::accept(text), ErrorKind::invalid, "an option's value is not JSON");
  OptionValue value(false);
  value.json_ = text;
  return value;
}

Options Options::from_json(std::string_view object) {
  const nlohmann::ordered_json values = nlohmann::ordered_json::parse(object, nullptr, false);
  check(values.is_object(), ErrorKind::invalid, "options: not a JSON object");
  Options options;
  for (const auto& [name, value] : values.items())
    options.set(name, OptionValue::from_json(json_text(value)));
  return options;
}

std::string Options::json() const {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [name, value] : values_) {
    check(!object.contains(name), ErrorKind::invalid, "option `{}` is given twice", name);
    object[name] = nlohmann::json::parse(value.json());
  }
  return json_text(object);
}

}  // namespace lowrank
