#include "peft/files/combined_plan.h"

#include <algorithm>
#include <string_view>

#include <fmt/ranges.h>

#include "base/error.h"

namespace lowrank {

CombinedInfo::CombinedInfo(const std::vector<Adapter>& parts) {
  std::vector<std::string_view> names, papers, summaries;
  for (const Adapter& part : parts) {
    check(std::ranges::find(names, part.info->name) == names.end(), ErrorKind::invalid,
          "the method {} stands twice", part.info->name);
    names.push_back(part.info->name);
    papers.push_back(part.info->paper);
    summaries.push_back(part.info->summary);
  }
  name = fmt::format("{}", fmt::join(names, "+"));
  paper = fmt::format("{}", fmt::join(papers, "; "));
  summary = fmt::format("{}", fmt::join(summaries, "; "));
  info = {name, paper, summary, parts.front().info->default_learning_rate, nullptr, nullptr};
}

std::vector<Field> combined_fields(const std::vector<Adapter>& parts) {
  std::vector<Field> fields;
  for (const Adapter& part : parts) {
    for (Field& next : part.method->fields()) {
      const auto same = std::ranges::find(fields, next.name, &Field::name);
      if (same == fields.end()) {
        fields.push_back(std::move(next));
      } else {
        same->set = [first = same->set, second = next.set](const nlohmann::json& value) {
          first(value);
          second(value);
        };
      }
    }
  }
  return fields;
}

std::string part_prefix(const Adapter& part) {
  return fmt::format("{}/", part.info->name);
}

void add_part(const Adapter& part, const MethodInfo& info, TrainPlan& whole) {
  const std::string prefix = part_prefix(part);
  const double rate = part.info->default_learning_rate / info.default_learning_rate;
  for (ParameterSpec spec : part.plan.parameters) {
    spec.name = prefix + spec.name;
    spec.learning_rate_scale *= rate;
    whole.parameters.push_back(std::move(spec));
  }
  for (const ParameterCopy& copy : part.plan.copies)
    whole.copies.push_back({prefix + copy.name, prefix + copy.of, copy.transposed});
  for (const auto& [tensor, use] : part.plan.uses) {
    const bool free = whole.uses.emplace(tensor, use).second;
    check(free, ErrorKind::unsupported, "two of the methods {} train {}", info.name, tensor);
  }
  whole.targets.insert(whole.targets.end(), part.plan.targets.begin(), part.plan.targets.end());
  whole.macs_per_token += part.plan.macs_per_token;
  whole.kept_values += part.plan.kept_values;
  whole.resolved_values += part.plan.resolved_values;
  whole.stacked_values += part.plan.stacked_values;
  whole.context_rows += part.plan.context_rows;
}

std::vector<FileTensor> combined_state(const std::vector<Adapter>& parts) {
  std::vector<FileTensor> all;
  for (const Adapter& part : parts) {
    for (FileTensor& tensor : part.method->state())
      all.push_back({part_prefix(part) + tensor.name, std::move(tensor.value)});
  }
  return all;
}

void set_combined_state(const std::vector<Adapter>& parts, const std::vector<FileTensor>& state) {
  for (const Adapter& part : parts) {
    const std::string prefix = part_prefix(part);
    std::vector<FileTensor> own;
    for (const FileTensor& tensor : state) {
      if (tensor.name.starts_with(prefix)) own.push_back({tensor.name.substr(prefix.size()), tensor.value});
    }
    part.method->set_state(own);
  }
}

}  // namespace lowrank
