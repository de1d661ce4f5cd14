--- The last part of the script of a report's page: the list of items, its filters, and the page as a whole.
return [==[

// ---- one item ----

const nameOf = (item) => item.key || "item " + (item.position || data.items.indexOf(item) + 1);
const idOf = (item) => String(item.position || data.items.indexOf(item) + 1);
const hue = (() => { // the same colour for all of a field: "people[2].name" is "people.name"
  const known = new Map();
  return (path) => {
    const field = path.replace(/\[\d+\]/g, "");
    if (!known.has(field)) known.set(field, known.size);
    return [color(known.get(field)), field];
  };
})();

/** The parts of a text: where the words that are searched for are, they are marked. */
function found(words) {
  const q = state.q.trim().toLowerCase();
  if (!q) return [words];
  const parts = [], low = words.toLowerCase();
  if (low.length !== words.length) return [words];
  let at = 0;
  for (let next = low.indexOf(q); next >= 0 && parts.length < 400; next = low.indexOf(q, at)) {
    parts.push(words.slice(at, next), el("mark", {class: "found"}, words.slice(next, next + q.length)));
    at = next + q.length;
  }
  parts.push(words.slice(at));
  return parts;
}

function cutNote(item, name, kept) {
  const whole = item.lengths[name];
  return whole > kept ? " (" + bytes(kept) + " of " + bytes(whole) + ")" : "";
}
const size = (words) => new TextEncoder().encode(words).length;

function sourceText(item) {
  const fields = new Map(), pre = el("pre", {tabindex: 0, class: "source"});
  for (const [words, ...paths] of item.text) {
    if (!paths.length) {
      pre.append(...found(words));
      continue;
    }
    const inner = paths[paths.length - 1], [c, field] = hue(inner);
    for (const path of paths) fields.set(hue(path)[1], hue(path)[0]);
    pre.append(el("mark", {class: "m" + c, title: paths.join(" › "), "data-field": field}, found(words)));
  }
  const kept = size(item.text.map((piece) => piece[0]).join(""));
  const whole = item.lengths.text > kept + 2;
  return el("div", {}, el("h3", {}, "Source text" + (whole ? " (from byte " + count(item.offset + 1) + ", " +
    bytes(kept) + " of " + bytes(item.lengths.text) + ")" : "")), pre,
    el("div", {class: "legend"}, [...fields].map(([field, c]) => el("span", {}, swatch("m" + c), field))));
}

function plainText(item, name, label) {
  const words = item[name];
  return el("div", {}, el("h3", {}, label + cutNote(item, name, size(words))),
    el("pre", {tabindex: 0, class: name}, found(words)));
}

function stageTimes(item) {
  if (!item.marks || !item.marks.length) return null;
  const rows = [];
  for (let i = 0; i < item.marks.length; i += 3) {
    rows.push(el("span", {}, swatch("f" + color(item.marks[i] - 1)), data.stages[item.marks[i] - 1].name + " " +
      seconds(item.marks[i + 2] - item.marks[i + 1])));
  }
  return el("p", {class: "legend"}, el("span", {}, "began after " + seconds(item.start)), rows);
}

function inside(item) {
  const sides = [];
  if (item.text && item.text.length) sides.push(sourceText(item));
  if (item.record !== undefined) sides.push(plainText(item, "record", "Record"));
  if (item.value !== undefined && item.value !== nameOf(item)) sides.push(plainText(item, "value", "Made of"));
  const error = item.message === undefined ? null : el("p", {class: "note bad"},
    el("b", {}, item.kind + (item.stage ? " in " + item.stage : "") + ": "), found(item.message));
  return el("div", {class: "inside"}, stageTimes(item), error, item.problem && el("p", {class: "note"}, item.problem),
    el("div", {class: "sides"}, sides));
}

function headOf(item) {
  const time = item.start !== undefined && item.stop !== undefined ? seconds(item.stop - item.start) : "";
  const error = item.message && " — " + (item.stage ? item.stage + ": " : "") + item.message;
  return el("summary", {}, el("span", {class: "at"}, item.position ? count(item.position) : ""),
    el("span", {class: look(item.status)}, item.status),
    el("span", {class: "what"}, nameOf(item), error && el("span", {class: "soft"}, error)),
    el("span", {class: "time"}, item.recalled ? "earlier run" : time));
}

function row(item) {
  const box = el("details", {"data-item": idOf(item), toggle: () => {
    if (box.open && !box.querySelector(".inside")) box.append(inside(item));
    if (box.open) state.open = idOf(item); else if (state.open === idOf(item)) state.open = "";
    writeState();
  }}, headOf(item));
  if (state.open === idOf(item)) {
    box.append(inside(item));
    box.open = true;
  }
  return el("li", {}, box);
}

// ---- the list ----

function textOf(item) {
  item.low ||= [nameOf(item), item.status, item.kind, item.message, item.stage, item.value, item.record,
    (item.text || []).map((piece) => piece[0]).join("")].filter((part) => part).join("\n").toLowerCase();
  return item.low;
}
const AT_ONCE = 100;
const list = el("ul", {class: "items", id: "items"});
const shown = el("span", {id: "shown", class: "soft", role: "status"});
const showMore = () => {
  limit += AT_ONCE * 5;
  fillList();
};
const more = el("button", {type: "button", class: "more", click: showMore}, "Show more");
const search = el("input", {type: "search", id: "search", placeholder: "Search keys, records, texts, errors",
  "aria-label": "Search", input: () => show({q: search.value}, true)});
const chips = el("span", {class: "tools", role: "group", "aria-label": "Status"});
let limit = AT_ONCE;

const matching = () => {
  const q = state.q.trim().toLowerCase();
  return data.items.filter((item) => (!state.status.length || state.status.includes(item.status)) &&
    (!state.kind || item.kind === state.kind) && (!state.stage || item.stage === state.stage) &&
    (!q || textOf(item).includes(q)));
};

function fillChips() {
  const counts = {};
  for (const item of data.items) counts[item.status] = (counts[item.status] || 0) + 1;
  const press = (status) => show({status: state.status.includes(status) ? state.status.filter((s) => s !== status)
    : [...state.status, status]});
  const chip = (status) => el("button", {type: "button", "data-status": status, click: () => press(status),
    "aria-pressed": String(state.status.includes(status))}, status + " " + count(counts[status]));
  const other = ([name, label]) => el("button", {type: "button", "aria-pressed": "true", title: "Remove this filter",
    click: () => show({[name]: ""})}, label + state[name] + " ×");
  const others = [["kind", "error: "], ["stage", "in: "]].filter(([name]) => state[name]);
  chips.replaceChildren(...Object.keys(counts).sort().map(chip), ...others.map(other));
}

function fillList() {
  const all = matching(), at = all.findIndex((item) => idOf(item) === state.open);
  if (at >= limit) limit = at + 1;
  list.replaceChildren(...all.slice(0, limit).map(row));
  more.hidden = all.length <= limit;
  shown.textContent = all.length === data.items.length ? plural(all.length, "item")
    : count(all.length) + " of " + plural(data.items.length, "item");
  list.dataset.count = all.length;
}

/** Changes the view. */
function show(changes, typing) {
  const focused = document.activeElement && document.activeElement.dataset && document.activeElement.dataset.status;
  Object.assign(state, changes);
  limit = AT_ONCE;
  if (!typing) search.value = state.q;
  writeState();
  fillChips();
  fillList();
  if (focused) chips.querySelector("[data-status='" + CSS.escape(focused) + "']")?.focus();
  const open = changes.open && list.querySelector("details[open]");
  if (open) {
    open.scrollIntoView({block: "center"});
    open.firstChild.focus();
  } else if (changes.kind) {
    list.parentNode.scrollIntoView();
  }
}

function step(by) {
  const heads = [...list.querySelectorAll("summary")], at = heads.indexOf(document.activeElement);
  const next = heads[at < 0 ? 0 : at + by];
  if (next) next.focus();
  return next;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.nodeName);
  if (typing && event.key === "Escape") {
    if (search.value) show({q: ""}); else search.blur();
  } else if (typing) {
    if (event.key === "ArrowDown" && event.target === search) step(1); else return;
  } else if (event.key === "/") {
    search.focus();
  } else if (event.key === "j" || event.key === "k") {
    step(event.key === "j" ? 1 : -1);
  } else if (/^Arrow(Down|Up)$/.test(event.key) && event.target.nodeName === "SUMMARY") {
    step(event.key === "ArrowDown" ? 1 : -1);
  } else {
    return;
  }
  event.preventDefault();
});
addEventListener("hashchange", () => { readState(); show({open: state.open}); });

// ---- the page ----

const key = (name) => el("kbd", {}, name);
const notes = [problemNote(), sampleNote()];
const parts = [overTime(), timeline(), latency(), stages(), errors(), limiter(), usage()];
page.append(el("h1", {}, data.title), el("p", {class: "under"}, "Began " + data.at), ...notes.filter(Boolean), tiles(),
  ...parts.filter(Boolean), card("Items", el("div", {class: "tools"}, search, chips, shown),
    el("p", {class: "soft hint"}, key("/"), " searches, ", key("j"), " and ", key("k"),
      " or the arrows go through the items, ", key("Enter"), " opens one"),
    data.items.length ? null : el("p", {class: "soft"}, "There were no items."), list, more));
search.value = state.q;
fillChips();
fillList();
drawAll();
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
if (state.open) list.querySelector("details[open]")?.scrollIntoView({block: "center"});
document.documentElement.dataset.ready = "true";
]==]
