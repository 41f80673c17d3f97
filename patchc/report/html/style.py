"""The look of a page and of a fragment: one style sheet, light and dark."""

STYLE = """
.patchc { --ink: #1b1f24; --quiet: #667079; --line: #d7dce1; --paper: #fff; --soft: #f5f7f9;
  --new: #1a7f37; --new-soft: #e3f6e8; --gone: #c0342b; --gone-soft: #fdeaea;
  --changed: #9a6700; --changed-soft: #fff4d6; --frozen: #3b6ea8; --frozen-soft: #edf3fa;
  color: var(--ink); background: var(--paper);
  font: 14px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
@media (prefers-color-scheme: dark) { .patchc.page { --ink: #e4e8ec; --quiet: #98a2ac;
  --line: #363d44; --paper: #15191d; --soft: #1d2227; --new: #57c974; --new-soft: #163522;
  --gone: #f2857c; --gone-soft: #401f1e; --changed: #e2b64c; --changed-soft: #3a2f14;
  --frozen: #7fb0e6; --frozen-soft: #1b2836; } }
.patchc.page { margin: 0; padding: 32px clamp(16px, 4vw, 56px); }
.patchc h1 { font-size: 22px; margin: 0 0 12px; }
.patchc h2 { font-size: 16px; margin: 32px 0 8px; padding-top: 12px;
  border-top: 1px solid var(--line); }
.patchc h3 { font-size: 14px; margin: 12px 0 4px; }
.patchc p { margin: 4px 0; }
.patchc .patch { margin: 4px 0; }
.patchc .quiet { color: var(--quiet); font-weight: normal; }
.patchc .why { color: var(--quiet); font-style: italic; font-weight: normal; }
.patchc .tally { font-size: 16px; font-weight: 600; margin: 12px 0; }
.patchc code, .patchc pre, .patchc .weight, .patchc svg text {
  font-family: ui-monospace, "SF Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.patchc code, .patchc pre, .patchc .weight { font-size: 12.5px; }
.patchc pre { background: var(--soft); padding: 12px; overflow-x: auto; border-radius: 6px; }
.patchc dl.totals { display: flex; flex-wrap: wrap; gap: 8px; margin: 12px 0; }
.patchc dl.totals > div { background: var(--soft); border-radius: 6px; padding: 8px 14px; }
.patchc dt { color: var(--quiet); font-size: 12px; }
.patchc dd { margin: 0; font-weight: 600; }
.patchc ul.warnings { background: var(--changed-soft); border-radius: 6px; margin: 12px 0;
  padding: 10px 14px 10px 32px; }
.patchc .item { border-left: 3px solid var(--line); padding: 2px 10px; margin: 4px 0; }
.patchc .item.new { border-color: var(--new); }
.patchc .item.gone { border-color: var(--gone); }
.patchc .item.changed { border-color: var(--changed); }
.patchc .item .symbol { display: inline-block; min-width: 28px; }
.patchc .weight { color: var(--quiet); margin-left: 28px; white-space: pre; }
.patchc .scroll { overflow-x: auto; }
.patchc table { border-collapse: collapse; margin: 4px 0; background: none; }
.patchc th { text-align: left; color: var(--quiet); font-weight: normal; font-size: 12px; }
.patchc th, .patchc td { padding: 3px 16px 3px 0; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: top; }
.patchc td.number { text-align: right; font-variant-numeric: tabular-nums; }
.patchc .fate { border-radius: 9px; padding: 0 8px; font-size: 12px; background: var(--soft); }
.patchc .fate.new, .patchc .fate.ok { color: var(--new); background: var(--new-soft); }
.patchc .fate.grown, .patchc .fate.shrunk, .patchc .fate.rescaled, .patchc .fate.reinitialised {
  color: var(--changed); background: var(--changed-soft); }
.patchc .fate.dropped, .patchc .fate.failed { color: var(--gone); background: var(--gone-soft); }
.patchc summary { cursor: pointer; color: var(--quiet); margin: 6px 0; }
.patchc svg { display: block; }
.patchc svg text { font-size: 12px; fill: var(--ink); }
.patchc svg text.quiet { fill: var(--quiet); }
.patchc svg text.heading { fill: var(--quiet); font-size: 13px; }
.patchc svg .name { font-weight: 600; }
.patchc svg .edge { fill: none; stroke: var(--quiet); stroke-width: 1.5; opacity: .7; }
.patchc svg .dot { fill: var(--paper); stroke: var(--quiet); stroke-width: 1.8; }
.patchc svg .dot.new { fill: var(--new); stroke: var(--new); }
.patchc svg .dot.gone { fill: var(--gone); stroke: var(--gone); }
.patchc svg .dot.changed { fill: var(--changed); stroke: var(--changed); }
.patchc svg .dot.frozen { fill: var(--frozen); stroke: var(--frozen); }
.patchc svg .band.frozen { fill: var(--frozen-soft); }
.patchc svg .band.new { fill: var(--new-soft); }
.patchc svg .band.gone { fill: var(--gone-soft); }
.patchc svg .band.changed { fill: var(--changed-soft); }
"""
