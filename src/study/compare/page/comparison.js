"use strict";
// The results of a comparison: a table that can be sorted, and answers side by side; charts.js has the charts. Texts that models wrote are set as text, never as markup.
const results = JSON.parse(document.getElementById("results").textContent);
const at = id => document.getElementById(id);

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

const model = results.model.split("/").filter(part => part).pop() || results.model;
at("title").textContent = `${results.benchmark} on ${model}`;
const wholeRuns = results.runs.filter(run => run.label !== "base").length;
at("state").textContent = `${wholeRuns} ${wholeRuns === 1 ? "run" : "runs"}${results.finished ? "" : "; the comparison is not finished"}`;

// The table. A column has a value to sort by and a text.
const spread = (found, digits, factor = 1) => !found ? "" :
  (found.mean * factor).toFixed(digits) + (!found.deviation ? "" : ` ± ${(found.deviation * factor).toFixed(digits)}`);
const measured = (name, key, digits, factor, better) => ({
  name, better, value: method => method[key] ? method[key].mean : null, text: method => spread(method[key], digits, factor)});
// Scores of 0 to 1 need more digits than those of 0 to 100.
const digitsOf = metric => Math.max(...results.methods.map(method => method.metrics[metric.name] ? Math.abs(method.metrics[metric.name].mean) : 0)) < 5 ? 4 : 2;
const columns = [
  {name: "method", value: method => method.label, text: method => method.label},
  {name: "trained parameters", better: -1, value: method => method.trained_parameters, text: method => method.trained_parameters.toLocaleString("en")},
  {name: "percent", value: method => method.share, text: method => (100 * method.share).toFixed(3)},
  {name: "learning rate", value: method => method.learning_rate || null, text: method => method.learning_rate ? String(method.learning_rate) : ""},
  ...results.metrics.map(metric => ({
    name: metric.name, better: metric.higher_is_better ? 1 : -1,
    value: method => method.metrics[metric.name] ? method.metrics[metric.name].mean : null,
    text: method => spread(method.metrics[metric.name], digitsOf(metric))})),
  measured("validation loss", "validation_loss", 4, 1, -1),
  measured("training, s", "seconds", 1, 1, -1),
  measured("tokens/s", "tokens_per_second", 0, 1, 1),
  measured("peak memory, MB", "peak_memory_bytes", 0, 1e-6, -1),
  measured("adapter, kB", "adapter_bytes", 1, 1e-3, -1),
  measured("ms a token", "seconds_per_token", 2, 1e3, -1),
  measured("merged, ms a token", "seconds_per_token_merged", 2, 1e3, -1),
  {name: "context taken", better: -1, value: method => method.context_rows, text: method => String(method.context_rows)},
  measured("forgetting", "forgetting", 4, 1, -1),
  {name: "runs", value: method => method.runs, text: method => method.runs + (method.diverged ? `, ${method.diverged} diverged` : "")},
].filter(column => column.name === "method" || results.methods.some(method => column.text(method) !== ""));

const sorting = {column: 0, direction: 0};

function sorted() {
  if (sorting.direction === 0) return results.methods;
  const value = columns[sorting.column].value;
  return [...results.methods].sort((first, second) => {
    const a = value(first), b = value(second);
    if (a === null || b === null) return (a === null) - (b === null);
    return sorting.direction * (typeof a === "string" ? a.localeCompare(b) : a - b);
  });
}

function bestOf(column) {
  const trained = results.methods.filter(method => method.label !== "base");
  const values = trained.map(column.value).filter(value => value !== null);
  if (!column.better || values.length < 2) return null;
  return column.better > 0 ? Math.max(...values) : Math.min(...values);
}

function drawTable() {
  const head = element("thead"), body = element("tbody"), headings = element("tr");
  columns.forEach((column, place) => {
    const heading = element("th"), button = element("button", column.name);
    heading.scope = "col";
    button.type = "button";
    if (place === sorting.column && sorting.direction !== 0)
      heading.setAttribute("aria-sort", sorting.direction > 0 ? "ascending" : "descending");
    button.addEventListener("click", () => {
      sorting.direction = place === sorting.column && sorting.direction === 1 ? -1 : 1;
      sorting.column = place;
      drawTable();
      at("methods").querySelectorAll("thead button")[place].focus();
    });
    heading.append(button);
    headings.append(heading);
  });
  head.append(headings);
  for (const method of sorted()) {
    const row = element("tr");
    columns.forEach((column, place) => {
      const cell = element(place === 0 ? "th" : "td", column.text(method));
      if (place === 0) cell.scope = "row";
      if (method.label !== "base" && column.value(method) !== null && column.value(method) === bestOf(column)) cell.className = "best";
      row.append(cell);
    });
    body.append(row);
  }
  at("methods").replaceChildren(head, body);
}

for (const run of results.runs.filter(run => run.problem))
  at("problems").append(element("li", `${run.label}, seed ${run.seed}, learning rate ${run.learning_rate}: ${run.problem}`));

function drawSearches() {
  at("searches").hidden = results.searches.length === 0;
  const head = element("tr");
  for (const name of ["method", "round", "learning rate", "steps", "validation loss", "score", "problem"]) {
    const heading = element("th", name);
    heading.scope = "col";
    head.append(heading);
  }
  const body = element("tbody"), top = element("thead");
  for (const run of results.searches) {
    const row = element("tr"), score = run.metrics.length ? run.metrics[0][1].toPrecision(5) : "";
    const texts = [run.label, run.round, run.learning_rate, run.steps, run.validation_loss === null ? "" : run.validation_loss.toFixed(4), score, run.problem];
    texts.forEach((text, place) => {
      const cell = element(place === 0 ? "th" : "td", text);
      if (place === 0) cell.scope = "row";
      row.append(cell);
    });
    body.append(row);
  }
  top.append(head);
  at("tried").replaceChildren(top, body);
}

// The answers of one run of each method.
const asked = [];
for (const run of results.runs)
  if (run.samples.length && !asked.some(other => other.label === run.label)) asked.push(run);
const rows = asked.length ? asked[0].samples : [];
rows.forEach((sample, place) => {
  const line = sample.prompt.trim().replace(/\s+/g, " ");
  at("row").append(new Option(`${place + 1}: ${line.length > 80 ? line.slice(0, 80) + "…" : line}`, place));
});
at("answers").hidden = rows.length === 0;

function answer(title, text, className) {
  const made = element("div", undefined, className);
  made.append(element("h3", title), element("p", text.trim() || "(nothing)"));
  return made;
}

function drawAnswers() {
  const place = Number(at("row").value || 0);
  if (!rows[place]) return;
  at("prompt").textContent = rows[place].prompt;
  at("samples").replaceChildren(answer("in the data", rows[place].reference, "answer reference"),
    ...asked.filter(run => run.samples[place]).map(run => answer(run.label, run.samples[place].answer, "answer")));
}

at("options").textContent = JSON.stringify(results.options, null, 2);
at("row").addEventListener("change", drawAnswers);
drawTable();
drawSearches();
drawAnswers();
