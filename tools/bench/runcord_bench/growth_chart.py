"""Draws what `growth` found: `FIGURES.json CHART.svg`. The cost of each operation, beside that on an empty database.

Needs matplotlib, which the extra `bench` brings: `python -P -m runcord_bench.growth_chart figures.json growth.svg`.
"""

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

_LINE = re.compile(r"(?P<what>.*), at (?P<runs>[\d,]+) runs")


def main(figures: str, chart: str) -> None:
    """Draw one line for each operation, over the number of runs."""
    draw(json.loads(Path(figures).read_text("utf-8"))).savefig(chart, metadata={"Date": None})


def draw(found: dict[str, Any]) -> Figure:
    """Return the chart of the figures that `tools/bench/run --only growth --json` has written."""
    points: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for line in found["benchmarks"]["growth"]["lines"]:
        match = _LINE.fullmatch(line["what"])
        assert match is not None, line["what"]
        points[match["what"]].append((int(match["runs"].replace(",", "")), 1 / line["product_to_floor"]))
    mpl.rcParams["svg.hashsalt"] = "runcord"  # the same figures make the same file
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for what, measured in points.items():
        axes.plot(*zip(*measured, strict=True), marker="o", label=what)
    axes.axhline(1 / 0.8, color="grey", linestyle="dashed", label="must: 80 % of the rate is kept")
    axes.set(xscale="log", xlabel="runs in the database", ylabel="time for each, empty = 1", ylim=(0, None))
    axes.set_title(f"Cost against size, {found['conditions']['date'][:10]}")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small")
    return figure


if __name__ == "__main__":
    main(*sys.argv[1:])
