// lowrank analyze: what trained updates look like, the studies of section 7 of the LoRA paper.
#include <algorithm>
#include <iostream>
#include <optional>
#include <string_view>

#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "cli/reported.h"
#include "session/adapters/comparison_report.h"
#include "session/adapters/read_factored.h"
#include "session/places.h"
#include "session/session.h"
#include "study/analysis/amplification_report.h"
#include "study/analysis/similarity_report.h"
#include "study/analysis/spectrum_report.h"

namespace lowrank {
namespace {

/// What all studies take.
struct StudyArguments {
  AnalysisOptions analysis;
  std::vector<std::string> adapters;
  std::string model, output;
  bool json = false;

  std::vector<Field> fields(const std::string& adapters_help, const std::string& model_use) {
    std::vector<Field> fields = {repeatable(field("adapters", adapters, adapters_help))};
    fields.push_back(model_field(model));
    fields.back().help = model_use + fields.back().help;
    for (Field& option : analysis.fields()) fields.push_back(std::move(option));
    fields.push_back(field("output", output, "folder for results.json, results.md and index.html"));
    fields.push_back(field("json", json, "the results as JSON on standard output, in place of the tables"));
    return fields;
  }

  std::shared_ptr<const Checkpoint> base() const {
    if (model.empty()) return nullptr;
    check_model_place(model);
    return open_told(model);
  }
};

/// A line on the terminal that shows how many modules are done.
AnalysisProgress shown(std::optional<Progress>& line) {
  return [&line](int64_t done, int64_t total) {
    if (!line) line.emplace("module", total);
    line->update(done, {});
  };
}

FactoredAdapter read_told(const std::string& path, const Checkpoint* base) {
  FactoredAdapter adapter = read_factored(path, base);
  const std::string more = told_beside(adapter);
  if (!more.empty()) warn("{}", more);
  adapter.where = path;
  return adapter;
}

int finish(const AnalysisReport& report, const StudyArguments& given) {
  if (!given.output.empty()) {
    write_report(report, given.output);
    info("{}: results.json, results.md, index.html", given.output);
  }
  std::cout << (given.json ? json_text(report.results) + "\n" : markdown_of(report, false));
  return 0;
}

/// Adapters that name different bases may still have been trained on the same one, under another path.
void warn_of_other_base(const FactoredAdapter& one, const FactoredAdapter& other) {
  const auto base_of = [](const FactoredAdapter& adapter) -> std::string {
    if (!adapter.config.is_object()) return "";
    const auto found = adapter.config.find("base_model_name_or_path");
    return found != adapter.config.end() && found->is_string() ? found->get<std::string>() : "";
  };
  const std::string base = base_of(one), other_base = base_of(other);
  if (!base.empty() && !other_base.empty() && base != other_base)
    warn("{} names the base {}, {} names {}: spaces of different bases say nothing of each other", one.where,
         base, other.where, other_base);
}

int similarity(Arguments& arguments) {
  StudyArguments given;
  given.analysis.directions = 64;
  arguments.set_example("lowrank analyze similarity adapters/r8 adapters/r64 --output similarity");
  arguments.add(given.fields("the two adapters, as words",
                             "the base, for adapters that are no LORA folders of PEFT: "));
  arguments.add({given.analysis.directions_field()});
  arguments.add_positional("adapters");
  if (!arguments.parse()) return 0;
  check_usage(given.adapters.size() == 2, "give two adapters: lowrank analyze similarity A B");
  const auto base = given.base();
  const FactoredAdapter one = read_told(given.adapters[0], base.get());
  const FactoredAdapter other = read_told(given.adapters[1], base.get());
  warn_of_other_base(one, other);
  std::optional<Progress> line;
  return finish(report_of(study_similarity(one, other, given.analysis, shown(line))), given);
}

int amplification(Arguments& arguments) {
  StudyArguments given;
  arguments.set_example("lowrank analyze amplification adapters/r8 --model base --output amplification");
  arguments.add(given.fields("the adapter, as a word", "the base: "));
  arguments.add({given.analysis.directions_field()});
  arguments.add_positional("adapters");
  if (!arguments.parse()) return 0;
  check_usage(given.adapters.size() == 1,
              "give one adapter: lowrank analyze amplification ADAPTER --model BASE");
  require({{"--model", &given.model}});
  const auto base = given.base();
  const FactoredAdapter adapter = read_told(given.adapters.front(), base.get());
  std::optional<Progress> line;
  return finish(report_of(study_amplification(adapter, *base, given.analysis, shown(line))), given);
}

/// The factors of an adapter where it is s B A, else what it makes of the base's weights.
SpectrumStudy adapter_spectrum(const StudyArguments& given, const AnalysisProgress& progress) {
  const std::string& path = given.adapters.front();
  const auto base = given.base();
  if (base) {
    check_adapter_place(path);
    const Adapter adapter = load_told_adapter(path, *base);
    if (!adapter.method->low_rank_form().beside.empty() || adapter.method->low_rank_form().updates.empty()) {
      SpectrumStudy study = study_spectrum(*base, adapter, given.analysis, progress);
      study.what = path;
      return study;
    }
  }
  return study_spectrum(read_told(path, base.get()), given.analysis, progress);
}

int spectrum(Arguments& arguments) {
  StudyArguments given;
  std::string tuned;
  arguments.set_example("lowrank analyze spectrum --model base --tuned tuned --output spectrum");
  arguments.add(given.fields("an adapter, as a word; or give two models",
                             "the base, of `tuned` or of an adapter that is no LORA folder of PEFT: "));
  Field other = model_field(tuned);
  other.name = "tuned";
  other.help = "the model that was made from the base: " + other.help;
  arguments.add({std::move(other)});
  arguments.add_positional("adapters");
  if (!arguments.parse()) return 0;
  check_usage(
      given.adapters.size() + (tuned.empty() ? 0 : 1) == 1,
      "give one adapter, or two models: lowrank analyze spectrum ADAPTER, or --model BASE --tuned MODEL");
  std::optional<Progress> line;
  if (tuned.empty()) return finish(report_of(adapter_spectrum(given, shown(line))), given);
  require({{"--model", &given.model}});
  check_model_place(tuned);
  const auto base = given.base();
  return finish(report_of(study_spectrum(*base, *open_told(tuned), given.analysis, shown(line))), given);
}

struct Study {
  std::string_view name, summary;
  int (*run)(Arguments& arguments);
};

constexpr Study studies[] = {
    {"similarity", "how alike the spaces are in which two adapters change their base", similarity},
    {"amplification", "what an adapter's directions are to the weights that it changes", amplification},
    {"spectrum", "how many directions an adapter or the difference of two models has", spectrum}};

int run(Arguments& arguments) {
  std::vector<std::pair<std::string, std::string>> names;
  for (const Study& study : studies) names.emplace_back(study.name, study.summary);
  const std::optional<std::string> name = arguments.enter(names);
  if (!name) return 0;
  return std::ranges::find(studies, *name, &Study::name)->run(arguments);
}

}  // namespace

extern const CommandInfo analyze_command;
const CommandInfo analyze_command{
    "analyze", "studies what was learned: spaces, amplification and spectra of updates", run};

}  // namespace lowrank
