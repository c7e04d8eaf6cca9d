#include "report/run_page.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "report/markup.h"

namespace lowrank {
namespace {

/// Nothing may be loaded, whatever a model writes. The charts' colours follow the reader's scheme.
constexpr std::string_view head = R"(<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root { --text: #1c1c1c; --quiet: #5a5a5a; --page: #ffffff; --raised: #f5f5f3; --line: #dddddd;
  --series-0: #0072b2; --series-1: #d55e00; --series-2: #009e73; }
@media (prefers-color-scheme: dark) { :root { --text: #e8e6e3; --quiet: #a8a5a0; --page: #17181a;
  --raised: #222427; --line: #3a3d41; --series-0: #56b4e9; --series-1: #f0904a; --series-2: #3fcf9f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; color: var(--text); background: var(--page);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .3rem 0; }
.state, caption, figcaption { color: var(--quiet); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1rem; }
figure { margin: 0; border: 1px solid var(--line); border-radius: .4rem; overflow: hidden; }
svg { display: block; width: 100%; height: auto; font-size: 14px; }
svg text[font-size] { font-size: 18px; }
svg text { fill: var(--text); }
svg .page { fill: var(--page); }
svg .grid { stroke: var(--line); }
svg .frame, svg .reference { stroke: var(--quiet); }
svg polyline.series-0 { stroke: var(--series-0); } svg circle.series-0 { fill: var(--series-0); }
svg polyline.series-1 { stroke: var(--series-1); } svg circle.series-1 { fill: var(--series-1); }
svg polyline.series-2 { stroke: var(--series-2); } svg circle.series-2 { fill: var(--series-2); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { font-weight: 500; color: var(--quiet); width: 14rem; }
.results th { width: 18rem; }
.sample th { width: 7rem; }
pre { margin: 0; font: 14px/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.sample { background: var(--raised); border-radius: .4rem; padding: .8rem 1rem; margin: 0 0 1rem; }
.sample > pre { margin-bottom: .5rem; }
.lines { color: var(--quiet); overflow-wrap: anywhere; }
summary { cursor: pointer; }
@media (max-width: 40rem) { body { padding: 1rem; } th, .results th { width: 40%; } .sample th { width: 5rem; } }
</style>
)";

std::string table_of(const RunPage::Facts& facts, const char* style = "") {
  std::string out = fmt::format("<table{}>\n", style);
  for (const auto& [name, value] : facts)
    out += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escaped(name), escaped(value));
  return out + "</table>\n";
}

std::string section(const std::string& title, const std::string& content) {
  return content.empty() ? "" : fmt::format("<section>\n<h2>{}</h2>\n{}</section>\n", title, content);
}

std::string facts_section(const std::string& title, const RunPage::Facts& facts, const char* style = "") {
  return section(title, facts.empty() ? "" : table_of(facts, style));
}

std::string charts(const std::vector<LinePlot>& plots) {
  if (plots.empty()) return {};
  std::string out = "<div class=\"charts\">\n";
  for (const LinePlot& plot : plots) out += "<figure>\n" + svg_of(plot) + "</figure>\n";
  return out + "</div>\n";
}

std::string text_block(const std::string& text) {
  return "<pre>" + escaped(text, true) + "</pre>";
}

/// One block per prompt, in the order of their first appearance, with a row for each step.
std::string samples_of(const std::vector<RunSample>& samples) {
  std::vector<std::string> prompts;
  std::map<std::string, std::vector<const RunSample*>> made;
  for (const RunSample& sample : samples) {
    std::vector<const RunSample*>& of_prompt = made[sample.prompt];
    if (of_prompt.empty()) prompts.push_back(sample.prompt);
    of_prompt.push_back(&sample);
  }
  std::string out;
  for (const std::string& prompt : prompts) {
    out += "<div class=\"sample\">\n" + text_block(prompt) + "\n<table>\n";
    for (const RunSample* sample : made[prompt])
      out += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n",
                         sample->step == 0 ? "before" : fmt::format("step {}", sample->step),
                         text_block(sample->generated));
    const std::string& reference = made[prompt].front()->reference;
    if (!reference.empty())
      out += fmt::format("<tr><th scope=\"row\">in the data</th><td>{}</td></tr>\n", text_block(reference));
    out += "</table>\n</div>\n";
  }
  return out;
}

std::string rows_of(const std::vector<RunRows>& all) {
  std::string out;
  for (const RunRows& rows : all) {
    std::string lines;
    for (const std::string& where : rows.where) lines += (lines.empty() ? "" : ", ") + escaped(where);
    const int64_t more = rows.count - std::ssize(rows.where);
    out += fmt::format("<h3>{}: {}</h3>\n<p class=\"lines\">{}{}</p>\n", escaped(rows.what), rows.count,
                       lines, more > 0 ? fmt::format(" and {} more", more) : "");
  }
  return out;
}

}  // namespace

std::string html_of(const RunPage& page) {
  return fmt::format(
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<title>{}</title>\n{}{}</head>\n<body>\n<main>\n",
             escaped(page.title), page.ended ? "" : "<meta http-equiv=\"refresh\" content=\"30\">\n", head) +
         fmt::format("<h1>{}</h1>\n<p class=\"state\">{}</p>\n", escaped(page.title), escaped(page.state)) +
         facts_section("Results", page.results, " class=\"results\"") +
         section("Curves", charts(page.plots)) + section("Samples", samples_of(page.samples)) +
         section("Rows that were changed or left out", rows_of(page.rows)) +
         facts_section("Configuration", page.configuration) + facts_section("Environment", page.environment) +
         "</main>\n</body>\n</html>\n";
}

}  // namespace lowrank
