// Charts, with one legend that shows and hides methods in all of them.
// Colours of Okabe and Ito, which colour-blind readers can tell apart; with the shapes, 64 methods differ.
const dark = matchMedia("(prefers-color-scheme: dark)");
const palettes = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#5a5a5a", "#a0522d"],
  dark: ["#56b4e9", "#f0904a", "#3fcf9f", "#e7a3c9", "#f0e442", "#9ad0ff", "#b8b5b0", "#d9a07a"]};
const shapes = ["circle", "rect", "triangle", "rectRot", "star", "crossRot", "rectRounded", "cross"];
const glyphs = ["●", "■", "▲", "◆", "✳", "✕", "▢", "+"];
const labels = results.methods.map(method => method.label).filter(label => label !== "base");
const colour = label => palettes[dark.matches ? "dark" : "light"][labels.indexOf(label) % 8];
const shape = label => (labels.indexOf(label) + Math.floor(labels.indexOf(label) / 8)) % 8;
const left = new Set();  // methods that are left out
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const charts = {};

function draw(id, description, config) {
  if (charts[id]) charts[id].destroy();
  delete charts[id];
  const canvas = at(id);
  canvas.closest("figure").hidden = config.data.datasets.length === 0 && left.size === 0;
  canvas.setAttribute("aria-label", description);
  if (config.data.datasets.length === 0) return;
  const axis = title => ({title: {display: true, text: title, color: css("--text")}, grid: {color: css("--line")}, ticks: {color: css("--quiet")}});
  const {x, y, logarithmic} = config;
  charts[id] = new Chart(canvas, {
    type: config.type, data: config.data,
    options: {
      animation: false, maintainAspectRatio: false,
      scales: {x: {type: logarithmic ? "logarithmic" : "linear", ...axis(x)}, y: {type: "linear", ...axis(y)}},
      plugins: {legend: {display: false},
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
      if (method.label !== "base" && !left.has(method.label) && quality.of(method) && cost(method) > 0) points.push({label: method.label, x: cost(method), y: quality.of(method).mean});
    }
    const datasets = points.map(point => ({
      label: point.label, data: [point], backgroundColor: colour(point.label), borderColor: colour(point.label),
      pointStyle: shapes[shape(point.label)], radius: 7, hoverRadius: 9, borderWidth: 2}));
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
  const all = results.runs.filter(run => run.label !== "base");
  const isFirst = run => all.find(other => other.label === run.label) === run;
  // More lines than this cannot be followed.
  const runs = labels.length > 8 ? all.filter(isFirst) : all;
  const several = new Set(runs.map(run => run.seed)).size > 1;
  const curve = (key, change) => runs.filter(run => run[key].length > 1 && !left.has(run.label)).map(run => ({
    label: several ? `${run.label}, seed ${run.seed}` : run.label, data: change(run[key].filter(point => point[1] !== null)),
    borderColor: colour(run.label), backgroundColor: colour(run.label), borderWidth: 2,
    borderDash: [[], [6, 3], [2, 2], [8, 3, 2, 3]][Math.max(0, runs.filter(other => other.label === run.label).indexOf(run)) % 4],
    pointStyle: shapes[shape(run.label)], radius: key === "curve" ? 0 : 3, fill: false}));
  draw("training", "training loss over steps", {type: "line", data: {datasets: curve("curve", smoothed)}, x: "step", y: "loss"});
  draw("validation", "validation loss over steps",
       {type: "line", data: {datasets: curve("evaluations", points => points.map(([x, y]) => ({x, y})))}, x: "step", y: "loss"});
}

function drawLegend() {
  at("legend").replaceChildren(...labels.map(label => {
    const button = element("button"), mark = element("span", glyphs[shape(label)]);
    button.type = "button";
    button.setAttribute("aria-pressed", String(!left.has(label)));
    mark.style.color = colour(label);
    mark.setAttribute("aria-hidden", "true");
    button.append(mark, ` ${label}`);
    button.addEventListener("click", () => {
      if (!left.delete(label)) left.add(label);
      button.setAttribute("aria-pressed", String(!left.has(label)));
      drawCharts();
    });
    return button;
  }));
}

function drawCharts() {
  drawQuality();
  drawCurves();
}

at("metric").addEventListener("change", drawQuality);
dark.addEventListener("change", () => { drawLegend(); drawCharts(); });
drawLegend();
drawCharts();
