--- The third part of the script of a report's page: items in time, in lanes.
return [==[

// ---- lanes: an item is in the first one that is free when it starts ----

const timed = data.items.filter((item) => item.start !== undefined && item.stop !== undefined && !item.recalled)
  .sort((a, b) => a.start - b.start || a.stop - b.stop);
const lanes = [];
for (const item of timed) {
  let lane = lanes.findIndex((free) => free <= item.start);
  if (lane < 0) lane = lanes.length;
  lanes[lane] = item.stop;
  item.lane = lane;
}
const deep = lanes.length <= 12 ? 20 : lanes.length <= 40 ? 13 : 8; // pixels of a lane

function describe(item) {
  const parts = [item.status + ", " + seconds(item.stop - item.start)];
  for (let i = 0; i < (item.marks || []).length; i += 3) {
    parts.push(data.stages[item.marks[i] - 1].name + " " + seconds(item.marks[i + 2] - item.marks[i + 1]));
  }
  if (item.message) parts.push(item.message.slice(0, 200));
  return parts.join(" · ");
}

// ---- the part of the time that is seen ----

function viewOf(from, to) {
  const view = {a: from, b: to, paint: () => {}};
  view.set = (a, b) => {
    const span = Math.max(Math.min(b - a, to - from), (to - from) / 1e5);
    view.a = Math.max(from, Math.min(a, to - span));
    view.b = view.a + span;
    view.paint();
  };
  view.all = () => view.set(from, to);
  view.zoom = (factor, at = (view.a + view.b) / 2) =>
    view.set(at - (at - view.a) * factor, at + (view.b - at) * factor);
  view.shift = (part) => view.set(view.a + (view.b - view.a) * part, view.b + (view.b - view.a) * part);
  return view;
}

const layer = (kind) => ["item", "f", "failed", "edge"].indexOf(kind.replace(/\d/, ""));

/** All bars of a colour are one path, so that thousands of them are drawn at once. */
function paintLanes(svg, view, width) {
  const x = (t) => Math.max(-2, Math.min((t - view.a) / (view.b - view.a) * width, width + 2));
  const paths = new Map();
  const add = (kind, item, a, b) => {
    const left = x(a), right = Math.max(x(b), left + 1);
    paths.set(kind, (paths.get(kind) || "") + "M" + left.toFixed(2) + " " + (item.lane * deep + 2) +
      "H" + right.toFixed(2) + "v" + (deep - 4) + "H" + left.toFixed(2) + "Z");
  };
  for (const item of timed) {
    if (item.stop < view.a || item.start > view.b) continue;
    const marks = item.marks || [];
    add(marks.length ? "item" : "f0", item, item.start, item.stop);
    for (let i = 0; i < marks.length; i += 3) add("f" + color(marks[i] - 1), item, marks[i + 1], marks[i + 2]);
    if (!isWell(item.status)) add(x(item.stop) - x(item.start) < 6 ? "failed" : "edge", item, item.start, item.stop);
  }
  for (const kind of [...paths.keys()].sort((a, b) => layer(a) - layer(b))) {
    svg.append(draw("path", {d: paths.get(kind), class: kind}));
  }
}

function paintTimes(svg, view, width, height) {
  const apart = stepOf(view.b - view.a, Math.max(2, Math.floor(width / 130)), true);
  for (let t = Math.ceil(view.a / apart) * apart; t <= view.b; t += apart) {
    const at = (t - view.a) / (view.b - view.a) * width;
    svg.prepend(rule(at, 0, at, height - 18));
    svg.append(text(at, height - 5, tick(t), at < 30 ? "start" : at > width - 30 ? "end" : "middle"));
  }
}

// ---- hands on it ----

function pointer(view, box, tip) {
  const timeAt = (event) => {
    const place = box.getBoundingClientRect();
    return view.a + (event.clientX - place.left) / place.width * (view.b - view.a);
  };
  const itemAt = (event) => {
    const lane = Math.floor((event.clientY - box.getBoundingClientRect().top) / deep), t = timeAt(event);
    const reach = (view.b - view.a) / box.clientWidth * 3;
    return timed.find((item) => item.lane === lane && item.start - reach <= t && t <= item.stop + reach);
  };
  const tell = (event, item) => {
    tip.hidden = !item;
    if (!item) return;
    tip.replaceChildren(el("b", {}, nameOf(item)), el("br"), describe(item));
    tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
    tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8) + "px";
  };
  let drag = null;
  return {
    wheel: (event) => {
      if (!event.ctrlKey) return;
      view.zoom(event.deltaY > 0 ? 1.25 : .8, timeAt(event));
      event.preventDefault();
    },
    pointerdown: (event) => { drag = {x: event.clientX, a: view.a, b: view.b, far: false}; },
    pointerup: (event) => {
      const item = drag && !drag.far && itemAt(event);
      drag = null;
      if (item) show({open: idOf(item), status: [], kind: "", stage: "", q: ""});
    },
    pointerleave: () => {
      drag = null;
      tip.hidden = true;
    },
    pointermove: (event) => {
      if (drag && Math.abs(event.clientX - drag.x) > 4) drag.far = true;
      const far = drag && drag.far;
      if (far) {
        const by = (drag.x - event.clientX) / box.clientWidth * (drag.b - drag.a);
        view.set(drag.a + by, drag.b + by);
      }
      tell(event, far ? null : itemAt(event));
    },
  };
}

function keyboard(view) {
  const keys = {"+": () => view.zoom(.5), "=": () => view.zoom(.5), "-": () => view.zoom(2), "0": view.all,
    ArrowLeft: () => view.shift(-.2), ArrowRight: () => view.shift(.2)};
  return {keydown: (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    keys[event.key]();
    event.preventDefault();
  }};
}

function zoomButtons(view) {
  const button = (sign, label, click) => el("button", {type: "button", "aria-label": label, title: label, click}, sign);
  return el("div", {class: "tools"}, button("+", "Zoom in", () => view.zoom(.5)),
    button("−", "Zoom out", () => view.zoom(2)), button("←", "Earlier", () => view.shift(-.4)),
    button("→", "Later", () => view.shift(.4)), button("All", "Show all", view.all),
    el("span", {class: "soft hint"}, "or drag, or ", el("kbd", {}, "Ctrl"), " and the wheel; a click opens the item"));
}

function timeline() {
  if (!timed.length) return null;
  const begun = timed[0].start, to = Math.max(most(timed.map((item) => item.stop)), begun + 1e-6);
  const view = viewOf(begun < to / 10 ? 0 : begun, to), tip = el("div", {class: "tip", hidden: ""});
  const box = chart("Timeline: " + plural(timed.length, "item") + " in " + plural(lanes.length, "lane"),
    lanes.length * deep + 24, (svg, width, height) => {
      paintLanes(svg, view, width);
      paintTimes(svg, view, width, height);
    });
  view.paint = drawings[drawings.length - 1];
  const area = el("div", {class: "lanes", tabindex: 0, id: "timeline", role: "group",
    "aria-label": "Timeline; plus and minus zoom, arrows move, 0 shows all",
    ...keyboard(view), ...pointer(view, box, tip)}, box);
  const legend = data.stages.map((stage, i) => [swatch("f" + color(i)), stage.name]);
  if (legend.length) legend.push([swatch("fitem"), "between stages"]);
  if (timed.some((item) => !isWell(item.status))) legend.push([swatch("fedge"), "failed"]);
  return card("Timeline", zoomButtons(view), area,
    el("div", {class: "legend"}, legend.map((words) => el("span", {}, words))), tip);
}
]==]
