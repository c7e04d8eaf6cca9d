// The page of `lowrank serve`: a conversation with one model or two, kept in memory only. Text is set with textContent, so nothing that a model
// writes becomes part of the page.
"use strict";

const element = (id) => document.getElementById(id);
const make = (tag, kind = "", text = "") => {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  return made;
};

/// Turns: {question, answers: [{model, text, node, state}]}; state is running, done, stopped or failed.
let turns = [];
let controllers = [];

// ---- The server ----

const headers = () => {
  const key = element("key").value.trim();
  return key ? { Authorization: "Bearer " + key } : {};
};

/// What went wrong, as a sentence for the reader.
function sentence(status, body) {
  let message = "";
  try {
    const error = JSON.parse(body).error;
    message = typeof error === "string" ? error : error.message;
  } catch { /* not the server's own error: the status says what it is */ }
  if (!message) message = "The server answered with status " + status + ".";
  if (status === 401 || status === 403) message += " Enter the API key in the settings.";
  return message;
}

async function call(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", credentials: "omit", ...options, headers: { ...headers(), ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error.name === "TypeError") throw new Error("The server cannot be reached. Is it still running?");
    throw error;
  }
  if (!response.ok) throw new Error(sentence(response.status, await response.text()));
  return response;
}

/// The data of each server-sent event of a body, as text.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const raw of lines) {
        const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
        if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
        if (line === "" && data.length) {
          yield data.join("\n");
          data = [];
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// ---- The list of adapters ----

async function loadModels() {
  const state = element("server");
  const pickers = [element("adapter-0"), element("adapter-1")];
  try {
    const listed = (await (await call("v1/models", {})).json()).data;
    const base = listed.find((model) => !model.parent);
    pickers.forEach((picker, place) => {
      const before = picker.value;
      picker.replaceChildren(...listed.map((model) => {
        const option = make("option", "", model.parent ? model.id : model.id + " (base)");
        option.value = model.id;
        return option;
      }));
      const known = listed.some((model) => model.id === before);
      picker.value = known ? before : listed[Math.min(place, listed.length - 1)].id;
      picker.disabled = false;
    });
    const adapters = listed.filter((model) => model.parent).length;
    state.textContent = (base ? base.id : listed[0].id) + ", " + adapters + (adapters === 1 ? " adapter" : " adapters");
    state.className = "";
  } catch (error) {
    state.textContent = "No list of adapters: " + error.message;
    state.className = "error";
  }
}

// ---- Answers ----

/// Shows text as paragraphs and its fenced parts as code.
function show(node, text) {
  const parts = text.split(/^[ \t]*```[^\n`]*\n?/m);
  node.replaceChildren(...parts.flatMap((part, place) => {
    if (place % 2 === 0) return part ? [document.createTextNode(place ? part.replace(/^\n/, "") : part)] : [];
    const code = make("pre");
    code.tabIndex = 0;
    code.setAttribute("role", "group");
    code.setAttribute("aria-label", "Code");
    code.append(make("code", "", part.replace(/\n$/, "")));
    return [code];
  }));
}

/// The messages that answer number `place` of turn `turn` is asked with: of earlier turns what stood in the same column.
function messagesOf(turn, place) {
  const system = element("system").value.trim();
  const messages = system ? [{ role: "system", content: system }] : [];
  for (const earlier of turns) {
    if (earlier === turn) break;
    const answer = earlier.answers[Math.min(place, earlier.answers.length - 1)];
    if (!answer.text) continue;
    messages.push({ role: "user", content: earlier.question }, { role: "assistant", content: answer.text });
  }
  messages.push({ role: "user", content: turn.question });
  return messages;
}

function atEnd() {
  const main = document.querySelector("main");
  const box = getComputedStyle(main).overflowY === "visible" ? document.documentElement : main;
  return { box, near: box.scrollHeight - box.scrollTop - box.clientHeight < 80 };
}

const reasons = { stop: "", length: "stopped at max tokens", cancelled: "cancelled by the server" };

/// Streams one answer into its node.
async function ask(turn, place, controller) {
  const answer = turn.answers[place];
  const [text, facts] = [answer.node.querySelector(".text"), answer.node.querySelector(".facts")];
  const started = performance.now();
  let first = 0, last = 0, pieces = 0, usage = null, reason = "", ended = false, planned = false;
  const draw = () => {
    planned = false;
    const { box, near } = atEnd();
    show(text, answer.text);
    if (near) box.scrollTop = box.scrollHeight;
  };
  const measured = () => {
    const tokens = usage ? usage.completion_tokens : pieces;
    const seconds = (last - first) / 1000;
    const said = [tokens + (tokens === 1 ? " token" : " tokens")];
    if (tokens > 1 && seconds > 0) said.push(((tokens - 1) / seconds).toFixed(1) + " tokens/s");
    if (first) said.push("first after " + ((first - started) / 1000).toFixed(2) + " s");
    if (usage && usage.prompt_tokens) said.push("prompt " + usage.prompt_tokens + " tokens");
    if (answer.state === "stopped") said.push("stopped");
    if (reason && reasons[reason] !== "") said.push(reasons[reason] || reason);
    return said.join(" · ");
  };
  try {
    const body = { model: answer.model, messages: messagesOf(turn, place), stream: true, stream_options: { include_usage: true },
      temperature: Number(element("temperature").value), max_tokens: Number(element("max-tokens").value) };
    const response = await call("v1/chat/completions", { method: "POST", body: JSON.stringify(body), signal: controller.signal,
      headers: { "Content-Type": "application/json" } });
    for await (const data of events(response.body)) {
      if (data === "[DONE]") {
        ended = true;
        break;
      }
      const event = JSON.parse(data);
      if (event.error) throw new Error(event.error.message || String(event.error));
      usage = event.usage || usage;
      for (const choice of event.choices || []) {
        reason = choice.finish_reason || reason;
        if (!choice.delta || !choice.delta.content) continue;
        last = performance.now();
        first = first || last;
        pieces += 1;
        answer.text += choice.delta.content;
        if (!planned) requestAnimationFrame(draw);
        planned = true;
      }
      facts.textContent = measured();
    }
    if (!ended) throw new Error("The connection ended before the answer did.");
    answer.state = "done";
  } catch (error) {
    answer.state = controller.signal.aborted ? "stopped" : "failed";
    if (answer.state === "failed") fail(turn, place, error.name === "TypeError" ? "The connection ended before the answer did." : error.message);
  }
  draw();
  facts.textContent = pieces || answer.state !== "failed" ? measured() : "";
  answer.node.classList.remove("running");
}

function fail(turn, place, message) {
  const box = make("div", "error", message);
  box.setAttribute("role", "alert");
  const again = make("button", "again", "Try again");
  again.type = "button";
  again.addEventListener("click", () => {
    if (controllers.length) return;
    box.remove();
    again.remove();
    turn.answers[place].text = "";
    element("message").focus();
    run(turn, [place]);
  });
  turn.answers[place].node.append(box, again);
}

/// Asks for those answers of a turn, all at once.
async function run(turn, places) {
  controllers = places.map(() => new AbortController());
  element("send").disabled = true;
  element("stop").disabled = false;
  element("spoken").textContent = "Answering …";
  for (const place of places) {
    turn.answers[place].state = "running";
    turn.answers[place].node.classList.add("running");
  }
  await Promise.all(places.map((place, index) => ask(turn, place, controllers[index])));
  controllers = [];
  element("send").disabled = false;
  element("stop").disabled = true;
  // Read aloud once each is complete: a live region that grows token by token cannot be followed.
  if (turns.includes(turn)) element("spoken").textContent = places.map((place) => turn.answers[place]).filter((answer) => answer.text)
    .map((answer) => answer.model + (answer.state === "done" ? ": " : ", incomplete: ") + answer.text).join("\n");
}

function addTurn(question, models) {
  const item = make("li", "turn");
  item.append(make("div", "question", question));
  item.firstChild.prepend(make("span", "spoken", "You: "));
  const columns = make("div", "answers");
  const turn = { question, answers: [] };
  for (const model of models) {
    const node = make("article", "answer");
    node.setAttribute("aria-label", "Answer of " + model);
    node.append(make("h3", "", model), make("div", "text"), make("p", "facts"));
    columns.append(node);
    turn.answers.push({ model, text: "", node, state: "running" });
  }
  item.append(columns);
  element("turns").append(item);
  element("empty").hidden = true;
  turns.push(turn);
  const { box } = atEnd();
  box.scrollTop = box.scrollHeight;
  return turn;
}

function send() {
  const question = element("message").value.trim();
  if (!question || controllers.length) return;
  if (!element("options").checkValidity()) {
    element("settings").open = true;
    element("options").reportValidity();
    return;
  }
  if (element("adapter-0").disabled) {  // no list yet: the reason stands above
    loadModels();
    return;
  }
  const models = [element("adapter-0").value];
  if (element("compare").checked) models.push(element("adapter-1").value);
  element("message").value = "";
  const turn = addTurn(question, models);
  run(turn, turn.answers.map((_, place) => place));
}

const stop = () => controllers.forEach((controller) => controller.abort());

// ---- What the reader does ----

element("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
element("options").addEventListener("submit", (event) => event.preventDefault());
element("message").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
});
element("stop").addEventListener("click", () => {
  stop();
  element("message").focus();
});
element("clear").addEventListener("click", () => {
  stop();
  turns = [];
  element("turns").replaceChildren();
  element("spoken").textContent = "New conversation";
  element("empty").hidden = false;
  element("message").focus();
});
element("compare").addEventListener("change", () => {
  element("second").hidden = !element("compare").checked;
});
element("reload").addEventListener("click", loadModels);
element("key").addEventListener("change", loadModels);
if (matchMedia("(max-width: 48rem)").matches) element("settings").open = false;
else element("message").focus();  // on a telephone its keyboard would cover the page
loadModels();
