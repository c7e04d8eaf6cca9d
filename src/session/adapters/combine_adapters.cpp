#include "session/adapters/combine_adapters.h"

#include <cmath>
#include <set>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/one_line.h"
#include "base/staged_folder.h"
#include "peft/files/adapter_labels.h"
#include "session/adapters/read_factored.h"

namespace lowrank {
namespace {

/// Warns of adapters that name different bases; their shapes may fit by chance.
void note_bases(const std::vector<FactoredAdapter>& adapters, std::vector<std::string>& notes) {
  std::set<std::string> bases;
  for (const FactoredAdapter& adapter : adapters) {
    const auto base = adapter.config.find("base_model_name_or_path");
    if (base != adapter.config.end() && base->is_string()) bases.insert(base->get<std::string>());
  }
  if (bases.size() < 2) return;
  std::vector<std::string> quoted;
  for (const std::string& base : bases) quoted.push_back(in_quotes(base));
  notes.push_back(fmt::format("the adapters name different base models: {}", fmt::join(quoted, ", ")));
}

/// The labels of the first adapter that has a label head, which stays in the combined one.
void write_labels(const CombineOptions& options, const std::filesystem::path& folder) {
  for (const std::string& given : options.adapters) {
    const std::optional<LabelSet> labels = read_adapter_labels(named_path(given).path);
    if (labels) return write_adapter_labels(folder, *labels);
  }
}

}  // namespace

CombineResult combine_adapters(const CombineOptions& options) {
  check(is_free(options.output), ErrorKind::invalid,
        "{}: exists already; combining writes a new folder; give another `output`", options.output);
  const std::shared_ptr<const Checkpoint> base =
      options.model.empty() ? nullptr : Checkpoint::open(options.model);
  std::vector<FactoredAdapter> adapters;
  std::vector<std::string> names;
  for (const std::string& given : options.adapters) {
    const NamedPath adapter = named_path(given);
    names.push_back(adapter.name);
    adapters.push_back(read_factored(adapter.path, base.get()));
  }
  const FactoredAdapter combined = combine(adapters, names, options.combination);
  CombineResult result{std::ssize(combined.updates), combined.rank, 0, 0, {}};
  note_bases(adapters, result.notes);
  double squares = 0;
  for (const FactoredUpdate& update : combined.updates) squares += inner_product(update, update);
  result.norm = std::sqrt(std::max(squares, 0.0));
  StagedFolder folder(options.output);
  const AdapterFileNames files;
  write_labels(options, folder.path());
  write_adapter_files(folder.path(), files, combined.config, tensors_of(combined));
  result.bytes = static_cast<int64_t>(std::filesystem::file_size(folder.path() / files.tensors));
  throw_if_interrupted();
  folder.commit();
  return result;
}

}  // namespace lowrank
