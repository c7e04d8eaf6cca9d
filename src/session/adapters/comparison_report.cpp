#include "session/adapters/comparison_report.h"

#include <fmt/format.h>

#include "base/one_line.h"
#include "report/table.h"

namespace lowrank {
namespace {

nlohmann::ordered_json number(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

std::string norm_words(const std::optional<double>& value) {
  return value ? fmt::format("{:.4g}", *value) : "-";
}

std::string share_words(const std::optional<double>& value) {
  return value ? fmt::format("{:.3f}", *value) : "-";
}

}  // namespace

std::string told_beside(const FactoredAdapter& adapter) {
  std::vector<std::string> names = adapter.beside;
  for (const FileTensor& tensor : adapter.saved) names.push_back(one_line(tensor.name));
  if (names.empty()) return "";
  return fmt::format("{}: {} beside the low-rank factors not compared, among them {}", adapter.where,
                     names.size() == 1 ? "1 tensor is" : fmt::format("{} tensors are", names.size()),
                     names.front());
}

nlohmann::ordered_json json_of(const AdapterComparison& comparison) {
  nlohmann::ordered_json modules = nlohmann::ordered_json::array();
  for (const ModuleComparison& module : comparison.modules) {
    modules.push_back({{"module", module.module},
                       {"norms", {number(module.norm), number(module.other_norm)}},
                       {"cosine", number(module.cosine)},
                       {"input_overlap", number(module.input_overlap)},
                       {"output_overlap", number(module.output_overlap)}});
  }
  return {{"norms", {comparison.norm, comparison.other_norm}},
          {"cosine", number(comparison.cosine)},
          {"input_overlap", number(comparison.input_overlap)},
          {"output_overlap", number(comparison.output_overlap)},
          {"modules", std::move(modules)}};
}

std::string table_of(const AdapterComparison& comparison) {
  std::vector<std::vector<std::string>> rows;
  for (const ModuleComparison& module : comparison.modules) {
    rows.push_back({one_line(module.module), norm_words(module.norm), norm_words(module.other_norm),
                    share_words(module.cosine), share_words(module.input_overlap),
                    share_words(module.output_overlap)});
  }
  rows.push_back({"all", norm_words(comparison.norm), norm_words(comparison.other_norm),
                  share_words(comparison.cosine), share_words(comparison.input_overlap),
                  share_words(comparison.output_overlap)});
  return markdown_table({"module", "norm A", "norm B", "cosine", "input overlap", "output overlap"}, rows);
}

}  // namespace lowrank
