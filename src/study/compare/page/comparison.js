"use strict";
// The results of a comparison: a table that can be sorted, charts, and answers side by side. Texts that models wrote are set as text, never as markup.
const results = JSON.parse(document.getElementById("results").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
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
  (found.mean * factor).toFixed(digits) + (found.deviation === null ? "" : ` ± ${(found.deviation * factor).toFixed(digits)}`);
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

// Charts. Colours of Okabe and Ito, which colour-blind readers can tell apart; shapes differ, too.
const palettes = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#5a5a5a", "#a0522d"],
  dark: ["#56b4e9", "#f0904a", "#3fcf9f", "#e7a3c9", "#f0e442", "#9ad0ff", "#b8b5b0", "#d9a07a"]};
const shapes = ["circle", "rect", "triangle", "rectRot", "star", "crossRot", "rectRounded", "cross"];
const labels = results.methods.map(method => method.label);
const colour = label => palettes[dark.matches ? "dark" : "light"][labels.indexOf(label) % 8];
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const charts = {};

function draw(id, description, config) {
  if (charts[id]) charts[id].destroy();
  const canvas = at(id);
  canvas.closest("figure").hidden = config.data.datasets.length === 0;
  canvas.setAttribute("aria-label", description);
  if (config.data.datasets.length === 0) return;
  const axis = title => ({title: {display: true, text: title, color: css("--text")}, grid: {color: css("--line")}, ticks: {color: css("--quiet")}});
  const {x, y, logarithmic} = config;
  charts[id] = new Chart(canvas, {
    type: config.type, data: config.data,
    options: {
      animation: false, maintainAspectRatio: false,
      scales: {x: {type: logarithmic ? "logarithmic" : "linear", ...axis(x)}, y: {type: "linear", ...axis(y)}},
      plugins: {legend: {position: "bottom", labels: {color: css("--text"), usePointStyle: true, filter: item => item.text !== "front"}},
                tooltip: {filter: item => item.dataset.label !== "front",
                          callbacks: {label: item => `${item.dataset.label}: ${item.parsed.y.toPrecision(5)} at ${Number(item.parsed.x.toPrecision(5)).toLocaleString("en")}`}}}}});
}

// Where quality is: the metrics, then the validation loss.
const qualities = [
  ...results.metrics.map(metric => ({name: metric.name, better: metric.higher_is_better ? 1 : -1, of: method => method.metrics[metric.name]})),
  {name: "validation loss", better: -1, of: method => method.validation_loss}].filter(quality => results.methods.some(quality.of));
qualities.forEach((quality, place) => at("metric").append(new Option(`${quality.name} (${quality.better > 0 ? "higher" : "lower"} is better)`, place)));

function front(points, better) {
  return points.filter(point => !points.some(other => other !== point && other.x <= point.x && better * other.y >= better * point.y &&
    (other.x < point.x || better * other.y > better * point.y))).sort((a, b) => a.x - b.x);
}

function drawQuality() {
  const quality = qualities[at("metric").value || 0];
  if (!quality) return;
  const against = {
    parameters: ["trained parameters", method => method.trained_parameters + method.head_parameters, true],
    memory: ["peak memory, MB", method => method.peak_memory_bytes && method.peak_memory_bytes.mean / 1e6, false],
    time: ["training time, s", method => method.seconds && method.seconds.mean, false]};
  for (const [id, [title, cost, logarithmic]] of Object.entries(against)) {
    const points = [];
    for (const method of results.methods) {
      if (method.label !== "base" && quality.of(method) && cost(method) > 0) points.push({label: method.label, x: cost(method), y: quality.of(method).mean});
    }
    const datasets = points.map(point => ({
      label: point.label, data: [point], backgroundColor: colour(point.label), borderColor: colour(point.label),
      pointStyle: shapes[labels.indexOf(point.label) % 8], radius: 7, hoverRadius: 9, borderWidth: 2}));
    if (points.length > 1)
      datasets.push({label: "front", type: "line", data: front(points, quality.better), borderColor: css("--quiet"), borderDash: [5, 5],
                     borderWidth: 1, radius: 0, hitRadius: 0, hoverRadius: 0, fill: false});
    draw(id, `${quality.name} against ${title}: ${points.map(point => `${point.label} ${point.y.toPrecision(4)} at ${point.x.toPrecision(4)}`).join("; ")}`,
         {type: "scatter", data: {datasets}, x: title, y: quality.name, logarithmic});
  }
}

function smoothed(points) {
  const memory = points.length < 20 ? 0 : 1 - 1 / Math.max(2, points.length / 20);
  let sum = 0, weight = 0;
  return points.map(([step, value]) => {
    sum = memory * sum + (1 - memory) * value;
    weight = memory * weight + (1 - memory);
    return {x: step, y: sum / weight};
  });
}

function drawCurves() {
  const runs = results.runs.filter(run => run.label !== "base");
  const several = new Set(runs.map(run => run.seed)).size > 1;
  const curve = (key, change) => runs.filter(run => run[key].length > 1).map(run => ({
    label: several ? `${run.label}, seed ${run.seed}` : run.label, data: change(run[key].filter(point => point[1] !== null)),
    borderColor: colour(run.label), backgroundColor: colour(run.label), borderWidth: 2,
    borderDash: [[], [6, 3], [2, 2], [8, 3, 2, 3]][Math.max(0, runs.filter(other => other.label === run.label).indexOf(run)) % 4],
    pointStyle: shapes[labels.indexOf(run.label) % 8], radius: key === "curve" ? 0 : 3, fill: false}));
  draw("training", "training loss over steps", {type: "line", data: {datasets: curve("curve", smoothed)}, x: "step", y: "loss"});
  draw("validation", "validation loss over steps",
       {type: "line", data: {datasets: curve("evaluations", points => points.map(([x, y]) => ({x, y})))}, x: "step", y: "loss"});
}

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
  made.append(element("h3", title), element("p", text.trim() === "" ? "(nothing)" : text));
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
at("metric").addEventListener("change", drawQuality);
at("row").addEventListener("change", drawAnswers);
dark.addEventListener("change", () => { drawQuality(); drawCurves(); });
drawTable();
drawQuality();
drawCurves();
drawSearches();
drawAnswers();
