"""The page's style sheet. Colours stand once for light and once for dark; a test computes their contrast."""

from __future__ import annotations

# Tones (bad, warn, good, calm) are used for text on `paper` and `card`, so each has a contrast of 4.5 at least there.
LIGHT = {
    "paper": "#f7f6f3", "card": "#ffffff", "ink": "#1b1f24", "muted": "#57606a", "edge": "#d9d6cf", "grid": "#e9e7e1",
    "bad": "#b3261e", "warn": "#8a5300", "good": "#176b3a", "calm": "#1f5fa8", "line": "#1f5fa8",
    "team": "#f0c36d", "library": "#cfd8e6", "standard": "#e6e4de",
    "up1": "#fbd9cf", "up2": "#f4a58f", "up3": "#e8745c", "down1": "#d5e6f5", "down2": "#a5cbea", "down3": "#74aede",
    "same": "#e6e4de", "box-ink": "#16191d",
}  # fmt: skip
DARK = {
    "paper": "#0e1116", "card": "#161b22", "ink": "#e8ebef", "muted": "#9aa5b1", "edge": "#2c333d", "grid": "#232a33",
    "bad": "#ff8f85", "warn": "#f2bd5c", "good": "#63d391", "calm": "#82b8ff", "line": "#82b8ff",
    "team": "#8a6420", "library": "#33445c", "standard": "#2a3038",
    "up1": "#4a2a26", "up2": "#7c3429", "up3": "#a83c2c", "down1": "#1f3245", "down2": "#23496e", "down3": "#235d96",
    "same": "#2a3038", "box-ink": "#f3f5f7",
}  # fmt: skip
TONES = ("bad", "warn", "good", "calm")
BOXES = ("team", "library", "standard", "up1", "up2", "up3", "down1", "down2", "down3", "same")


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


_BASE = """
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
  font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",Arial,sans-serif;overflow-wrap:anywhere}
main{max-width:1120px;margin:0 auto;padding:20px 16px 48px}
h1,h2,h3,p,ol,ul,figure,dl,dd{margin:0;padding:0}
h1{font-size:clamp(1.25rem,1rem + 1.6vw,1.9rem);line-height:1.2;letter-spacing:-.01em}
h2{font-size:1.15rem;margin-bottom:10px}
h3{font-size:1rem}
ol,ul{list-style:none}
code,.stack,.box text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
code{font-size:.92em}
.muted{color:var(--muted)}
.small{font-size:.86rem}
section{background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:16px;margin-top:16px}
summary{cursor:pointer;color:var(--calm);padding:6px 0}
summary:focus-visible,button:focus-visible,.box:focus-visible rect{outline:3px solid var(--calm);outline-offset:1px}
"""

_HEAD = """
h1 .muted{font-weight:400}
header{border-top:6px solid var(--tone);padding-top:14px}
header.bad{--tone:var(--bad)}header.warn{--tone:var(--warn)}header.good{--tone:var(--good)}header.calm{--tone:var(--calm)}
.outcome{display:inline-block;font-weight:700;color:var(--card);background:var(--tone);border-radius:999px;
  padding:3px 14px;margin-bottom:8px}
.headline{font-size:1.08rem;font-weight:600;margin-top:8px}
.lead{margin-top:4px}
.clip{display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:5;line-clamp:5;overflow:hidden}
.answers{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:12px;margin-top:16px}
.answer{background:var(--card);border:1px solid var(--edge);border-left:5px solid var(--tone);border-radius:10px;
  padding:12px 14px}
.answer.bad{--tone:var(--bad)}.answer.warn{--tone:var(--warn)}.answer.good{--tone:var(--good)}
.answer.calm{--tone:var(--edge)}
.answer h2{font-size:.86rem;font-weight:600;color:var(--muted);margin:0 0 2px}
.answer .text{font-size:1.08rem;font-weight:700;line-height:1.3}
.answer .place{font-weight:600;-webkit-line-clamp:2;line-clamp:2}
.answer .detail{font-size:.92rem;margin-top:6px}
.answer .mark{color:var(--tone);font-weight:700}
.answer.calm .mark{display:none}
@media(max-width:959px){.answers{grid-template-columns:repeat(2,minmax(0,1fr))}}
@media(max-width:599px){.answers{grid-template-columns:minmax(0,1fr);gap:8px}.answer{padding:8px 12px}
  main{padding:12px 10px 32px}section{padding:12px 10px}}
"""

_SERIES = """
.facts{display:flex;flex-wrap:wrap;gap:6px 28px;margin-bottom:12px}
.facts dt{font-size:.86rem;color:var(--muted)}
.facts dd{font-weight:700}
.chart{display:block;width:100%;height:auto;font-size:12px}
.chart.narrow{display:none}
@media(max-width:599px){.chart.wide{display:none}.chart.narrow{display:block}}
svg text{fill:var(--ink)}
svg .grid{stroke:var(--grid);stroke-width:1}
svg .tick{fill:var(--muted);font-size:11.5px}
.line{fill:none;stroke:var(--line);stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}
.area{fill:var(--line);opacity:.1}
.dot{fill:var(--line)}
.cone{fill:var(--bad);fill-opacity:.14;stroke:var(--bad);stroke-width:1.2;stroke-dasharray:4 4;stroke-opacity:.75}
.limit{stroke:var(--bad);stroke-width:1.8;stroke-dasharray:8 4}
svg .limit-text{fill:var(--bad);font-weight:600;paint-order:stroke;stroke:var(--card);stroke-width:3px}
.mark{stroke:var(--tone);stroke-width:1.4}
.mark.calm{stroke-dasharray:2 3}
svg .mark-text{fill:var(--tone);font-weight:600;paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}
.pin{fill:var(--tone)}
svg .bad{--tone:var(--bad)}svg .warn{--tone:var(--warn)}svg .good{--tone:var(--good)}svg .calm{--tone:var(--muted)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:2px 18px 2px 0;font-size:.92rem;vertical-align:top}
td.number,th.number{text-align:right}
figcaption{margin-top:8px}
"""

_PARTS = """
.suspects li{padding:12px 0;border-top:1px solid var(--grid)}
.suspects li:first-child{border-top:0;padding-top:0}
.suspects .name{font-weight:700;font-size:1.02rem}
.bar-row{display:flex;align-items:center;gap:12px;margin:4px 0}
.bars{flex:1 1 auto;min-width:80px}
.count{flex:0 0 auto;font-weight:600;font-variant-numeric:tabular-nums}
.trough{fill:var(--grid)}
.bar{fill:var(--warn)}
.flame-figure{margin-top:18px}
.flame-figure figcaption{margin:0 0 6px}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.86rem;margin-bottom:8px}
.key{display:inline-block;width:14px;height:14px;border-radius:3px;margin-right:6px;vertical-align:-2px;
  border:1px solid var(--edge);background:var(--fill)}
.key.suspect{border:2px solid var(--bad)}
.flame{display:block}
.box rect{fill:var(--fill);stroke:var(--card);stroke-width:1}
.box text{font-size:12px;fill:var(--box-ink)}
.box.own text{font-weight:700}
.box.suspect rect{stroke:var(--bad);stroke-width:3}
.box.all{--fill:var(--edge)}
.box[tabindex]{cursor:pointer}
.box[tabindex]:hover rect{stroke:var(--ink);stroke-width:2}
.box.above rect{opacity:.55}
.box.away{display:none}
.flame-bar{display:flex;flex-wrap:wrap;gap:8px 12px;align-items:flex-start;justify-content:space-between;margin-bottom:8px}
.flame-bar[hidden]{display:none}
.told{font-size:.9rem;min-height:3em;flex:1 1 16em}
button{font:inherit;color:var(--ink);background:var(--paper);border:1px solid var(--edge);border-radius:8px;
  padding:6px 12px;min-height:40px;flex:0 0 auto;cursor:pointer}
button:disabled{opacity:.5;cursor:default}
.stack{font-size:.84rem;padding:4px 0 12px 14px}
.comparison{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:12px}
.card{border:1px solid var(--edge);border-radius:8px;padding:10px 12px}
.card .big{font-size:1.02rem}
.whisker{display:block;margin:4px 0}
.zero{stroke:var(--muted);stroke-width:1}
.interval{fill:var(--line)}
.whisker.before .interval{fill:var(--bad)}
@media(max-width:599px){.rows>li{grid-template-columns:6.4em minmax(0,1fr)}}
@media(max-width:719px){.comparison{grid-template-columns:minmax(0,1fr)}}
.rows>li{display:grid;grid-template-columns:8.6em minmax(0,1fr);gap:2px 12px;padding:8px 0;border-top:1px solid var(--grid)}
.rows>li:first-child{border-top:0}
.rows .state{font-weight:700;color:var(--tone)}
.rows .bad{--tone:var(--bad)}.rows .warn{--tone:var(--warn)}.rows .good{--tone:var(--good)}.rows .calm{--tone:var(--muted)}
.rows time{font-variant-numeric:tabular-nums}
.rows .day{display:block}
.chips{display:flex;flex-wrap:wrap;gap:6px;margin-top:6px}
.chips li{border:1px solid var(--edge);border-radius:14px;padding:1px 10px;font-size:.9rem}
.plain li{padding:2px 0}
footer{margin-top:20px;font-size:.86rem;color:var(--muted)}
"""

_PRINT = """
@media print{
:root{%LIGHT%}
body{background:#fff;font-size:11pt}
main{max-width:none;padding:0}
section,.answer,.card,figure,.rows>li{break-inside:avoid}
.flame-figure{break-inside:auto}
.answers{grid-template-columns:repeat(2,minmax(0,1fr))}
.chart.narrow{display:none}.chart.wide{display:block}
.flame-bar,summary{display:none}
.outcome,.key,.box rect,.bar,.interval{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""

_FILLS = "".join(f".{name}{{--fill:var(--{name})}}" for name in BOXES)

STYLE = (
    f":root{{{_variables(LIGHT)}}}@media(prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}"
    + _BASE
    + _HEAD
    + _SERIES
    + _FILLS
    + _PARTS
    + _PRINT.replace("%LIGHT%", _variables(LIGHT))
)
