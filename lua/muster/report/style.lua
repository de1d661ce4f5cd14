--- The style of a report's page. Colours of series are --c0 to --c7, told apart on light and on dark ground.
return [[
:root {
  color-scheme: light dark;
  --ground: #fbfbfa; --card: #ffffff; --ink: #1d2126; --soft: #626b76; --line: #e2e4e7; --accent: #1f5fbf;
  --good: #2f7d4f; --bad: #c0392b; --warn: #a86400; --hover: #f1f4f8;
  --c0: #4477aa; --c1: #dd8844; --c2: #3a9a6c; --c3: #aa4477; --c4: #8a7bd0; --c5: #b09a1e; --c6: #3aa5b8;
  --c7: #8c6d5a;
  --m0: #cfe0f5; --m1: #fbe0c4; --m2: #cdebd8; --m3: #f3d0e0; --m4: #dfdaf7; --m5: #f3eab5; --m6: #c9ebf0;
  --m7: #e6dad2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171b; --card: #1c2026; --ink: #e4e7eb; --soft: #98a2ae; --line: #31373f; --accent: #7fb0ff;
    --good: #6cc48e; --bad: #ff8073; --warn: #e5ac55; --hover: #252b33;
    --c0: #6c9fd6; --c1: #e8a064; --c2: #5fc08f; --c3: #d67aa6; --c4: #a89cec; --c5: #d2bd4d; --c6: #62c4d6;
    --c7: #b8988a;
    --m0: #26425f; --m1: #5b3c20; --m2: #204a34; --m3: #582b42; --m4: #3c3566; --m5: #4f4718; --m6: #1d4a53;
    --m7: #4a3b34;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 24px 20px 80px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0 0 10px; }
h3 { font-size: .82rem; font-weight: 600; color: var(--soft); margin: 14px 0 4px; }
p { margin: 0 0 8px; }
.soft, .under { color: var(--soft); }
.under { margin-bottom: 18px; }
.note {
  border-left: 4px solid var(--accent); background: var(--card); padding: 8px 12px; border-radius: 4px;
  margin: 0 0 14px;
}
.note.bad { border-color: var(--bad); }
.card {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px;
  margin: 0 0 16px; min-width: 0;
}
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(118px, 1fr)); gap: 10px; margin-bottom: 16px;
}
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 10px 14px; }
.tile b {
  display: block; font-size: 1.3rem; line-height: 1.3; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere;
}
.tile span { color: var(--soft); font-size: .82rem; }
.tile.bad b { color: var(--bad); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 0 16px; }
.scroll { overflow: auto; max-width: 100%; }
#usage { max-width: 520px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: .8rem; }
th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th.n, td.n { text-align: right; white-space: nowrap; }
td .name {
  vertical-align: bottom; white-space: nowrap; display: inline-block; max-width: 40vw; overflow: hidden;
  text-overflow: ellipsis;
}
td.wide { min-width: 180px; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; font-size: .82rem; color: var(--soft); margin: 6px 0 0; }
.swatch { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 5px; }
svg { display: block; width: 100%; overflow: visible; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
svg .axis { stroke: var(--line); stroke-width: 1; }
svg .bar { fill: var(--c0); }
svg .failed { fill: var(--bad); }
svg .item { fill: var(--line); }
svg .edge { fill: none; stroke: var(--bad); stroke-width: 2; }
svg .line { fill: none; stroke: var(--c0); stroke-width: 1.5; }
svg .line.waiting { stroke: var(--c1); }
svg .line.allowed { stroke: var(--soft); stroke-dasharray: 4 3; }
svg .area { fill: var(--m0); }
svg .mark { stroke: var(--ink); stroke-dasharray: 3 3; }
svg .marked { fill: var(--ink); }
.f0 { fill: var(--c0); background: var(--c0); } .f1 { fill: var(--c1); background: var(--c1); }
.f2 { fill: var(--c2); background: var(--c2); } .f3 { fill: var(--c3); background: var(--c3); }
.f4 { fill: var(--c4); background: var(--c4); } .f5 { fill: var(--c5); background: var(--c5); }
.f6 { fill: var(--c6); background: var(--c6); } .f7 { fill: var(--c7); background: var(--c7); }
.fbad { background: var(--bad); } .fitem { background: var(--line); } .fedge { border: 2px solid var(--bad); }
.m0 {
  background: var(--m0); } .m1 { background: var(--m1); } .m2 { background: var(--m2);
  } .m3 { background: var(--m3);
}
.m4 {
  background: var(--m4); } .m5 { background: var(--m5); } .m6 { background: var(--m6);
  } .m7 { background: var(--m7);
}
mark { color: inherit; border-radius: 3px; padding: 1px 0; }
mark.found { outline: 2px solid var(--warn); background: none; }
button, select, input {
  font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 7px;
  padding: 4px 10px;
}
button { cursor: pointer; }
button:hover, tr.go:hover td { background: var(--hover); }
button[aria-pressed=true] { border-color: var(--accent); color: var(--accent); font-weight: 600; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.tools { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; margin-bottom: 10px; }
.tools .tools { margin: 0; }
.tools input { flex: 1 1 220px; min-width: 0; }
.lanes { max-height: 420px; overflow-y: auto; overflow-x: hidden; touch-action: pan-y; cursor: crosshair; }
.tip {
  position: fixed; z-index: 2; max-width: min(420px, 90vw); pointer-events: none; background: var(--card);
  border: 1px solid var(--line); border-radius: 7px; padding: 6px 10px; font-size: .82rem;
  box-shadow: 0 3px 14px rgba(0, 0, 0, .25); overflow-wrap: anywhere;
}
.items { list-style: none; margin: 0; padding: 0; }
.items > li { border-top: 1px solid var(--line); }
summary {
  display: grid; grid-template-columns: 5.5em 5.5em minmax(0, 1fr) auto; gap: 0 12px; padding: 6px 4px;
  cursor: pointer; align-items: baseline; border-radius: 5px;
}
summary::-webkit-details-marker { display: none; }
summary:hover { background: var(--hover); }
summary .at { color: var(--soft); text-align: right; font-variant-numeric: tabular-nums; }
summary .what { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
summary .time { color: var(--soft); font-variant-numeric: tabular-nums; text-align: right; }
.status { font-size: .82rem; font-weight: 600; color: var(--good); }
.status.bad { color: var(--bad); } .status.warn { color: var(--warn); }
.inside { padding: 2px 4px 16px; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(380px, 100%), 1fr)); gap: 0 18px; }
pre {
  margin: 0; padding: 10px 12px; background: var(--ground); border: 1px solid var(--line); border-radius: 7px;
  white-space: pre-wrap; overflow-wrap: anywhere; max-height: 420px; overflow: auto;
  font: 13px/1.55 ui-monospace, monospace;
}
.more { margin-top: 12px; }
kbd { font: 12px ui-monospace, monospace; border: 1px solid var(--line); border-radius: 4px; padding: 0 5px; }
@media (max-width: 560px) {
  main { padding: 14px 10px 60px; }
  .card { padding: 12px; }
  summary { grid-template-columns: 3.6em 5em minmax(0, 1fr); }
  summary .time { grid-column: 3; text-align: left; font-size: .82rem; }
  .hint { display: none; }
}
@media print { .tools, .more { display: none; } .lanes, pre { max-height: none; } }
]]
