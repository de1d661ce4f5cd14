--- The first part of the script of a report's page: words, elements, what is told in numbers.
-- Texts of the run get into the page as text nodes only.
return [==[
const data = JSON.parse(document.getElementById("data").textContent);
const page = document.getElementById("page");
page.textContent = "";

// ---- elements ----

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== ""));
  return node;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const SVG = "http://www.w3.org/2000/svg";
const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const card = (title, ...children) => el("section", {class: "card", "aria-label": title}, el("h2", {}, title), children);
const color = (i) => i % 8;
const swatch = (kind) => el("span", {class: "swatch " + kind});

// ---- words ----

const count = (n) => Math.round(n).toLocaleString("en");
const digits = (x) => x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2);
function short(n) {
  if (n >= 1e6) return digits(n / 1e6) + " M";
  return n >= 1e4 ? digits(n / 1e3) + " k" : n % 1 ? digits(n) : count(n);
}
function seconds(s) {
  if (s === undefined || s === null) return "–";
  if (s === 0) return "0 s";
  if (s < 1e-3) return digits(s * 1e6) + " µs";
  if (s < 1) return digits(s * 1e3) + " ms";
  if (s < 120) return digits(s) + " s";
  const minutes = Math.round(s / 60);
  if (minutes < 120) return Math.floor(s / 60) + " min " + Math.floor(s % 60) + " s";
  return Math.floor(minutes / 60) + " h " + minutes % 60 + " min";
}
function bytes(n) {
  if (n < 1e4) return plural(n, "byte");
  return n < 1e6 ? digits(n / 1e3) + " kB" : digits(n / 1e6) + " MB";
}
const tick = (s) => seconds(s).replace(/(\.\d*?)0+(?= )/, "$1").replace(/\.(?= )/, "").replace(/ 0 (s|min)$/, "");
const share = (part, whole) => whole ? digits(part / whole * 100) + " %" : "–";
const plural = (n, what) => count(n) + " " + what + (n === 1 ? "" : "s");

const classes = {done: "", repeated: "warn", taken: "warn", skipped: "warn"};
const look = (status) => "status " + (status in classes ? classes[status] : "bad");
const isWell = (status) => status === "done" || status === "repeated" || status === "taken";

// ---- the state, which is in the address, so that a view can be kept and sent ----

const state = {status: [], kind: "", stage: "", q: "", open: ""};
function readState() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(state)) state[name] = given.get(name) || "";
  state.status = state.status ? state.status.split(",") : [];
}
function writeState() {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) if (String(value)) parts.set(name, value);
  try { history.replaceState(null, "", "#" + parts); } catch (problem) { /* the view is just not in the address */ }
}
readState();

// ---- the head ----

function sampleNote() {
  const s = data.sample;
  if (s.shown >= s.of) return null;
  const parts = ["the first " + count(s.first)];
  if (s.failed) {
    parts.push(s.failures < s.failed ? count(s.failures) + " of " + count(s.failed) + " later failures"
      : s.failed === 1 ? "the one later failure" : "all " + count(s.failed) + " later failures");
  }
  if (s.rest) parts.push(s.others < s.rest ? count(s.others) + " of the other " + count(s.rest) : "all others");
  return el("p", {class: "note", id: "sample"},
    el("b", {}, "A sample of " + count(s.shown) + " of " + plural(s.of, "item") + ". "),
    "The timeline and the list below show " + parts.join(", ") + ": by chance, where not all. ",
    "All numbers and the other charts count every item.");
}

function problemNote() {
  if (!data.problem) return null;
  const [kind, message] = data.problem;
  return el("p", {class: "note bad", id: "problem"},
    el("b", {}, "The run did not come to its end. "), kind + ": " + message);
}

function tile(value, label, bad) {
  return el("div", {class: bad ? "tile bad" : "tile"}, el("b", {}, value.replace(/(\d) (?=\D)/g, "$1\u00a0")),
    el("span", {}, label));
}

function tiles() {
  const s = data.summary, list = [tile(count(s.items), s.items === 1 ? "item" : "items")];
  for (const [status, n] of Object.entries(data.statuses).sort((a, b) => b[1] - a[1])) {
    list.push(tile(count(n), status, !isWell(status)));
  }
  if (s.records !== undefined) list.push(tile(count(s.records), s.records === 1 ? "record" : "records"));
  if (s.recalled) list.push(tile(count(s.recalled), "by earlier runs"));
  list.push(tile(seconds(s.seconds), "duration"));
  if (s.seconds > 0 && s.items > 1) list.push(tile(short((s.items - (s.recalled || 0)) / s.seconds), "a second"));
  if (data.latency.n) {
    list.push(tile(seconds(data.latency.p50), "median"), tile(seconds(data.latency.p95), "95 % within"));
  }
  const u = data.usage;
  if (u && u.total) list.push(tile(short(u.total), "tokens"));
  if (u && u.cost) list.push(tile(u.cost.toFixed(u.cost < 1 ? 4 : 2), "cost"));
  return el("div", {class: "tiles"}, list);
}

// ---- tables ----

function table(id, heads, rows) {
  const cell = (tag, value, i) => value instanceof Node && /^T[DH]$/.test(value.nodeName) ? value
    : el(tag, {class: heads[i].startsWith("#") ? "n" : heads[i].startsWith("~") ? "wide" : null}, value);
  return el("div", {class: "scroll"}, el("table", {id},
    el("thead", {}, el("tr", {}, heads.map((head, i) => cell("th", head.replace(/^[#~]/, ""), i)))),
    el("tbody", {}, rows.map((row) => row instanceof Node ? row
      : el("tr", {}, row.map((value, i) => cell("td", value, i)))))));
}

function stages() {
  if (!data.stages.length) return null;
  const whole = data.stages.reduce((sum, stage) => sum + (stage.sum || 0), 0);
  const heads = ["Stage", "#Items", "#Failed", "#Median", "#95 %", "#99 %", "#Longest", "#Of all time"];
  return card("Stages", table("stages", heads, data.stages.map((stage, i) => [
    el("span", {class: "name"}, swatch("f" + color(i)), stage.name), count(stage.n), count(stage.failed),
    seconds(stage.p50), seconds(stage.p95), seconds(stage.p99), seconds(stage.max), share(stage.sum || 0, whole)])));
}

function errors() {
  if (!data.errors.length) return null;
  const rows = data.errors.slice().sort((a, b) => b.count - a.count).map((e) => {
    const click = () => show({kind: e.kind, stage: e.stage || "", status: [], q: ""});
    return [el("button", {type: "button", title: "Show these items", click}, e.kind), e.stage || "", count(e.count),
      e.message || ""];
  });
  return card("Errors", table("errors", ["Kind", "Stage", "#Items", "~The first of them says"], rows));
}

function usage() {
  const u = data.usage;
  if (!u || !Object.keys(u).length) return null;
  const labels = {requests: "requests", answers: "answers", retries: "retries",
    reasks: "asked again for a valid record", input: "tokens sent", cached: "of them from a cache",
    output: "tokens received", total: "tokens in all"};
  const rows = Object.entries(labels).filter(([name]) => u[name]).map(([name, label]) => [label, count(u[name])]);
  if (u.seconds && u.answers) rows.push(["seconds a request", seconds(u.seconds / u.answers)]);
  if (u.cost) {
    rows.push(["cost", u.cost.toFixed(4)]);
    const done = data.statuses.done || 0;
    if (done) rows.push(["cost of 1,000 items", (u.cost / done * 1000).toFixed(2)]);
  }
  if (u.estimated) rows.push(["some of them are estimates", ""]);
  if (!rows.length) return null;
  return card("Calls, tokens and cost", table("usage", ["", "#"], rows));
}

function limiterNumbers() {
  const l = data.limiter, rows = [];
  const add = (label, value) => rows.push([label, value]);
  add("requests let in", count(l.requests || 0));
  if (l.delayed) {
    add("of them had to wait", count(l.delayed) + " (" + share(l.delayed, l.requests) + ")");
    if (l.waited !== undefined) add("waited, in all", seconds(l.waited));
    if (l.waited !== undefined) add("waited, each on average", seconds(l.waited / l.delayed));
  }
  if (l.limited) add("refused by the other side", count(l.limited) + " in " + plural(l.episodes || 0, "episode"));
  if (l.failed) add("failed", count(l.failed));
  if (l.concurrency !== undefined) add("at once, at the end", count(l.concurrency));
  if (l.rpm) add("requests a minute", count(l.rpm));
  if (l.tpm) add("tokens a minute", count(l.tpm));
  return table("limiter", ["", "#"], rows);
}
]==]
