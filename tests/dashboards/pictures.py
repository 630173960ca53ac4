"""Draws a dashboard from what a live Prometheus answers, with Chromium: to look at its layout and its values where there is
no Grafana. What Grafana itself would make of it may differ in every detail.
"""

import html
import math
import re
import subprocess

import live
import shipped

COLUMN, LINE, GAP = 75, 34, 6
COLOURS = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#c0d8ff", "#fade2a", "#96d98d"]
NAMED = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c", "purple": "#b877d9", "blue": "#5794f2"}
STYLE = """
body { margin: 0; background: #111217; color: #ccccdc; font: 12px sans-serif; }
.panel { position: absolute; background: #181b1f; border: 1px solid #2c3235; overflow: hidden; box-sizing: border-box; }
.panel h2 { font-size: 13px; font-weight: 500; margin: 5px 8px 0; white-space: nowrap; }
.row { position: absolute; font-size: 16px; font-weight: 500; padding: 6px; }
.legend { margin: 0 8px; columns: 2; font-size: 11px; white-space: nowrap; }
.number { text-align: center; font-size: 38px; margin-top: 18px; }
table { border-collapse: collapse; margin: 6px 8px; } td, th { text-align: left; padding: 2px 14px 2px 0; }
"""


def draw(prometheus, folder):
    """One PNG for each dashboard, `NAME.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, dashboard in shipped.dashboards().items():
        choice = "quotes" if name == "upstream" else ".*"
        parts = [drawn(panel, prometheus, choice) for panel in dashboard["panels"]]
        bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
        page, picture = folder / f"{name}.html", folder / f"{name}.png"
        page.write_text(f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{''.join(parts)}")
        subprocess.run(
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=1000",
                f"--window-size={24 * COLUMN},{bottom * LINE + 20}", f"--screenshot={picture.resolve()}", page.resolve().as_uri(),
            ],
            check=True, capture_output=True, timeout=60,
        )


def drawn(panel, prometheus, choice):
    """A panel in its place."""
    place = panel["gridPos"]
    box = (
        f"left:{place['x'] * COLUMN}px;top:{place['y'] * LINE}px;"
        f"width:{place['w'] * COLUMN - GAP}px;height:{place['h'] * LINE - GAP}px"
    )
    if panel["type"] == "row":
        return f'<div class=row style="{box}">{html.escape(panel["title"])}</div>'
    unit = panel["fieldConfig"]["defaults"]["unit"]
    size = (place["w"] * COLUMN - GAP - 16, place["h"] * LINE - GAP - 30)
    inside = {"timeseries": lines, "stat": number, "table": table, "state-timeline": bands}[panel["type"]]
    body = inside(panel, series(panel, prometheus, choice), unit, size)
    return f'<div class=panel style="{box}"><h2>{html.escape(panel["title"])}</h2>{body}</div>'


def series(panel, prometheus, choice):
    """(name, labels, [(time, value)]) of every target."""
    found = []
    for target in panel["targets"]:
        expression = live.asked(target["expr"], choice)
        answers = prometheus.now(expression) if target.get("instant") else prometheus.over_time(expression, seconds=live.SECONDS)
        for one in answers:
            samples = one.get("values") or [one["value"]]
            legend = target["legendFormat"]
            name = re.sub(r"\{\{(\w+)\}\}", lambda match, labels=one["metric"]: labels.get(match[1], ""), legend)
            found.append((name.strip() or "·", one["metric"], [(float(at), float(value)) for at, value in samples]))
    return found


def shown(value, unit):
    """A number with its unit."""
    if math.isnan(value) or math.isinf(value):
        return "–"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s" if value < 120 else f"{value / 60:.3g} min"
    if unit == "bytes":
        return f"{value / 1024 / 1024:.3g} MiB"
    return f"{value:.3g}" + (" /s" if unit == "reqps" else "")


def lines(panel, found, unit, size):
    """Lines over time with a legend."""
    width, height = size[0], size[1] - 15 * ((len(found[:12]) + 1) // 2) - 14
    values = [value for _, _, samples in found for _, value in samples if math.isfinite(value)]
    stacked = "stacking" in panel["fieldConfig"]["defaults"]["custom"]
    top = max(values, default=0) * (1.0 if not stacked else 1.6) or 1
    times = [at for _, _, samples in found for at, _ in samples] or [0, 1]
    first, last = min(times), max(max(times), min(times) + 1)
    paths, legend, below = [], [], {}
    for place, (name, _, samples) in enumerate(found):
        colour, points = COLOURS[place % len(COLOURS)], []
        for at, value in samples:
            if math.isfinite(value):
                below[at] = value + (below.get(at, 0) if stacked else 0)
                points.append(f"{(at - first) / (last - first) * (width - 50) + 45:.1f},{height - min(below[at] / top, 1.05) * (height - 8):.1f}")
        paths.append(f'<polyline fill=none stroke="{colour}" points="{" ".join(points)}"/>')
        legend.append(f'<div><span style="color:{colour}">▬</span> {html.escape(name)} {shown(samples[-1][1], unit)}</div>')
    axis = f'<text x=2 y=12 fill="#888" font-size=10>{shown(top, unit)}</text><text x=2 y={height} fill="#888" font-size=10>0</text>'
    return f'<svg width={width} height={height} style="margin:4px 8px">{axis}{"".join(paths)}</svg><div class=legend>{"".join(legend[:12])}</div>'


def number(panel, found, unit, _):
    """The last value in its colour."""
    if not found:
        return "<div class=number>No data</div>"
    value = found[0][2][-1][1]
    defaults = panel["fieldConfig"]["defaults"]
    colour = next((step["color"] for step in reversed(defaults["thresholds"]["steps"]) if step["value"] is None or value >= step["value"]), "green")
    mapped = next((mapping["options"].get(f"{value:g}") for mapping in defaults.get("mappings", [])), None)
    text = mapped["text"] if mapped else shown(value, unit)
    return f'<div class=number style="color:{NAMED[colour]}">{html.escape(text)}</div>'


def table(panel, found, unit, _):
    """The columns that the transformations leave."""
    names = panel["transformations"][1]["options"]["renameByName"]
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in names.values())
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(shown(samples[-1][1], unit) if name == 'Value' else labels.get(name, ''))}</td>" for name in names) + "</tr>"
        for _, labels, samples in sorted(found, key=lambda one: -one[2][-1][1])
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def bands(panel, found, _, size):
    """A band for each series."""
    options = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    times = [at for _, _, samples in found for at, _ in samples] or [0, 1]
    first, last = min(times), max(max(times), min(times) + 1)
    out = []
    for place, (name, _, samples) in enumerate(found):
        out.append(f'<text x=2 y={place * 30 + 22} fill="#ccc" font-size=11>{html.escape(name)}</text>')
        for at, value in samples:
            known = options.get(f"{value:g}", {"color": "blue"})
            x = (at - first) / (last - first) * (size[0] - 220) + 200
            out.append(f'<rect x={x:.1f} y={place * 30 + 6} width=8 height=22 fill="{NAMED[known["color"]]}"/>')
    legend = " ".join(f'<span style="color:{NAMED[known["color"]]}">■ {known["text"]}</span>' for known in options.values())
    return f'<svg width={size[0]} height={size[1] - 24}>{"".join(out)}</svg><div class=legend style="columns:1">{legend}</div>'
