--- The second part of the script of a report's page: charts.
return [==[

// ---- charts: each is a function of the width, drawn again when that changes ----

const drawings = [];
function chart(label, height, paint) {
  const svg = draw("svg", {role: "img", "aria-label": label});
  const box = el("div", {}, svg);
  drawings.push(() => {
    const width = Math.max(box.clientWidth, 240);
    svg.setAttribute("viewBox", "0 0 " + width + " " + height);
    svg.setAttribute("height", height);
    svg.replaceChildren(draw("title", {}, label));
    paint(svg, width, height);
  });
  return box;
}
const drawAll = () => drawings.forEach((paint) => paint());
const text = (x, y, words, anchor, kind) => draw("text", {x, y, "text-anchor": anchor || "start", class: kind}, words);
const rule = (x1, y1, x2, y2, kind) => draw("line", {x1, y1, x2, y2, class: kind || "axis"});

const clock = [60, 120, 300, 600, 1200, 3600, 7200, 18000, 36000, 86400];
function stepOf(most, wanted, isTime) { // a round number, so that there are no more than so many
  const size = 10 ** Math.floor(Math.log10(most / wanted));
  return isTime && most / wanted > 20 && clock.find((s) => most / s <= wanted) ||
    [1, 2, 5, 10].map((k) => k * size).find((s) => most / s <= wanted) || 10 * size;
}
function steps(most, wanted, isTime) { // from 0 to most
  const list = [0], step = most > 0 ? stepOf(most, wanted, isTime) : 0;
  for (let i = 1; step && i * step <= most * 1.0001; i++) list.push(i * step);
  return list;
}

const LEFT = 44, BOTTOM = 20, TOP = 8;

function axes(svg, width, height, top, span, unit) {
  const y = (v) => height - BOTTOM - v / top * (height - BOTTOM - TOP);
  const x = (t) => LEFT + t / span * (width - LEFT - 8);
  for (const v of steps(top, 3)) {
    svg.append(rule(LEFT, y(v), width - 8, y(v)), text(LEFT - 6, y(v) + 4, short(v), "end"));
  }
  const marks = unit ? steps(span, Math.max(2, Math.floor(width / 110)), true) : [];
  for (const t of marks) svg.append(text(x(t), height - 4, tick(t), t === 0 ? "start" : "middle"));
  return [x, y];
}

const most = (list) => list.reduce((a, b) => Math.max(a, b), 0);

function underWay() {
  const b = data.bins, span = Math.max(b.busy.length * b.width, 1e-6);
  return chart("Items under way over time", 130, (svg, width, height) => {
    const [x, y] = axes(svg, width, height, most(b.busy) || 1, span, true);
    let d = "M" + x(0) + " " + y(0);
    b.busy.forEach((v, i) => { d += "L" + x(i * b.width) + " " + y(v) + "L" + x((i + 1) * b.width) + " " + y(v); });
    svg.append(draw("path", {d: d + "L" + x(span) + " " + y(0) + "Z", class: "area"}),
      draw("path", {d, class: "line"}));
  });
}

function rates() {
  const b = data.bins, span = Math.max(b.busy.length * b.width, 1e-6);
  return chart("Items ended a second, over time", 130, (svg, width, height) => {
    const group = Math.max(1, Math.ceil(b.ended.length / ((width - LEFT) / 6)));
    const sums = [];
    b.ended.forEach((n, i) => {
      const sum = sums[Math.floor(i / group)] ||= [0, 0];
      sum[0] += n;
      sum[1] += b.failed[i];
    });
    const wide = group * b.width;
    const [x, y] = axes(svg, width, height, most(sums.map((s) => s[0])) / wide || 1, span, true);
    const bars = ["", ""];
    sums.forEach(([n, failed], i) => {
      const left = x(i * wide), right = Math.max(x(Math.min((i + 1) * wide, span)) - 1, left + 1);
      const bar = (from, to) => "M" + left + " " + y(from / wide) + "V" + y(to / wide) + "H" + right + "V" +
        y(from / wide) + "Z";
      if (n) bars[0] += bar(failed, n);
      if (failed) bars[1] += bar(0, failed);
    });
    svg.append(draw("path", {d: bars[0], class: "bar"}), draw("path", {d: bars[1], class: "failed"}));
  });
}

function overTime() {
  if (!data.latency.n) return null;
  return card("Over time", el("div", {class: "pair"},
    el("div", {}, el("h3", {}, "Items under way"), underWay()),
    el("div", {}, el("h3", {}, "Items ended a second"), rates(), data.bins.failed.some((n) => n) ?
      el("div", {class: "legend"}, el("span", {}, swatch("f0"), "done"), el("span", {}, swatch("fbad"), "failed"))
      : null)));
}

// ---- how long it took ----

/** Buckets joined so that a bar is some pixels wide: [seconds from, seconds to, items]. */
function bars(perPixel) {
  const l = data.latency, parts = [1, 2, 4, 5, 8, 10].filter((n) => l.per_decade % n === 0);
  const group = parts.find((n) => n / l.per_decade / perPixel >= 7) || parts[parts.length - 1];
  const sums = new Map();
  for (const [bucket, n] of l.counts) {
    const at = Math.floor(bucket / group);
    sums.set(at, (sums.get(at) || 0) + n);
  }
  const edge = (at) => 10 ** (at * group / l.per_decade);
  return [...sums].map(([at, n]) => [edge(at), edge(at + 1), n]);
}

function logTicks(svg, x, from, to, floor, isWide) {
  for (let d = Math.floor(from); d <= to; d++) {
    for (const k of isWide ? [1, 2, 5] : [1]) {
      const at = d + Math.log10(k);
      if (at < from - .01 || at > to) continue;
      svg.append(rule(x(at), floor, x(at), floor + 5),
        text(x(at), floor + 16, tick(k * 10 ** d), at < from + .05 ? "start" : at > to - .05 ? "end" : "middle"));
    }
  }
}

function percentiles(svg, x, floor, width) {
  let right = -Infinity, line = 0;
  for (const name of ["p50", "p95", "p99"]) {
    const at = x(Math.log10(Math.max(data.latency[name], 1e-7))), isLast = at > width - 40;
    line = at < right ? line + 1 : 0;
    right = at + 30;
    svg.append(rule(at, TOP - 4, at, floor, "mark"),
      text(isLast ? at - 3 : at + 3, TOP + 4 + line * 13, name, isLast ? "end" : "start", "marked"));
  }
}

function latency() {
  const l = data.latency;
  if (!l.n) return null;
  const half = (bucket, round) => round(bucket / l.per_decade * 2) / 2;
  const from = half(l.counts[0][0], Math.floor);
  const to = Math.max(half(l.counts[l.counts.length - 1][0] + 1, Math.ceil), from + .5);
  const box = chart("How long the items took, on a log scale", 210, (svg, width, height) => {
    const wide = width - LEFT - 8, floor = height - 16 - BOTTOM, list = bars((to - from) / wide);
    const [, y] = axes(svg, width, height - 16, most(list.map((bar) => bar[2])), 1);
    const x = (decade) => LEFT + Math.max(decade - from, 0) / (to - from) * wide;
    for (const [a, b, n] of list) {
      const left = x(Math.log10(a)), right = x(Math.log10(b));
      const words = plural(n, "item") + " of " + seconds(a) + " to " + seconds(b);
      svg.append(draw("rect", {x: left, y: Math.min(y(n), floor - 1), width: Math.max(right - left - 1, 1),
        height: Math.max(floor - y(n), 1), class: "bar"}, draw("title", {}, words)));
    }
    logTicks(svg, x, from, to, floor, wide / (to - from) > 160);
    percentiles(svg, x, floor, width);
  });
  const numbers = [["shortest", l.min], ["p50, median", l.p50], ["mean", l.mean], ["p95", l.p95], ["p99", l.p99],
    ["longest", l.max]];
  return card("How long an item took", box,
    table("latency", numbers.map((n) => "#" + n[0]), [numbers.map((n) => seconds(n[1]))]));
}

// ---- the limiter ----

function limiter() {
  if (!data.limiter) return null;
  const looks = data.limiter.looks, span = Math.max(looks[looks.length - 1][0], 1e-6);
  const top = Math.max(most(looks.map((l) => Math.max(l[1], l[2]))), 1);
  const box = chart("Requests in flight, waiting and allowed over time", 150, (svg, width, height) => {
    const [x, y] = axes(svg, width, height, top * 1.1, span, true);
    const path = (i) => {
      let d = "";
      for (const l of looks) if (l[i] >= 0) d += (d ? "L" : "M") + x(l[0]) + " " + y(Math.min(l[i], top * 1.1));
      return d;
    };
    ["allowed", "waiting", ""].forEach((kind, i) => svg.append(draw("path", {d: path(3 - i), class: "line " + kind})));
  });
  return card("The limiter", el("div", {class: "pair"}, el("div", {}, el("h3", {}, "Requests"), box,
    el("div", {class: "legend"}, el("span", {}, swatch("f0"), "in flight"), el("span", {}, swatch("f1"), "waiting"),
      el("span", {}, "- - allowed at once"))), limiterNumbers()));
}
]==]
