"""The plots of the performance page, drawn from what the benchmarks wrote."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Callable

_OURS: Final = "#0b6e4f"
_OTHERS: Final = "#9aa5b1"
_FLOOR: Final = "#d9a441"
_COLORS: Final = {"RS256": "#3d6fb4", "EdDSA": _OURS}
# matplotlib writes each color into the element, where a media query has to override it.
_DARK: Final = """
@media (prefers-color-scheme: dark) {
  svg { fill: #e6edf3 }
  [style*="fill: #ffffff"] { fill: #161b22 !important }
  [style*="stroke: #000000"] { stroke: #9da7b1 !important }
  [style*="stroke: #b0b0b0"] { stroke: #484f58 !important }
  [style*="fill: #0b6e4f"] { fill: #3fa57f !important }
  [style*="stroke: #0b6e4f"] { stroke: #3fa57f !important }
  [style*="fill: #3d6fb4"] { fill: #6ea0d8 !important }
  [style*="stroke: #3d6fb4"] { stroke: #6ea0d8 !important }
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="the folder with the JSON of the benchmarks")
    parser.add_argument("target", type=Path, help="the folder to draw into")
    arguments = parser.parse_args()
    # The same figures make the same file.
    plt.rcParams.update({"svg.hashsalt": "jwtauth", "font.size": 9, "axes.axisbelow": True})
    arguments.target.mkdir(parents=True, exist_ok=True)
    for name, draw in PLOTS.items():
        path = arguments.results / f"{name}.json"
        if path.is_file():
            figure = draw(json.loads(path.read_text())["series"])
            if figure is not None:
                target = arguments.target / f"{name}.svg"
                figure.savefig(target, metadata={"Date": None}, bbox_inches="tight")
                drawn = target.read_text("utf-8")
                target.write_text(drawn.replace("</style>", f"{_DARK}</style>", 1), "utf-8")
                print(f"{target.name}: drawn")


def draw_micro(series: dict[str, Any]) -> Any:
    """Each contender as a multiple of the bare signature check."""
    figure, panels = plt.subplots(2, 1, figsize=(7, 6.4), layout="constrained")
    for panel, algorithm in zip(panels, ("RS256", "EdDSA"), strict=True):
        timings: dict[str, dict[str, float]] = series[algorithm]
        names = list(timings)[::-1]
        floor = timings[names[-1]]["minimum"]
        values = [timings[name]["minimum"] / floor for name in names]
        bars = panel.barh(names, values, color=[_color(name, names[-1]) for name in names])
        panel.bar_label(bars, [f" {value:.2f}" for value in values])
        panel.margins(x=0.1)
        panel.axvline(1, color="black", linewidth=0.6)
        panel.set_title(
            f"{algorithm}: authenticate(), the signature alone ({floor:.0f} µs) being 1", loc="left"
        )
        _tidy(panel)
    return figure


def draw_growth(series: dict[str, Any]) -> Any:
    """What grows with what, as multiples of the smallest."""
    subjects = {
        "keys in the JWKS": "keys",
        "trusted issuers": "issuers",
        "length of the token": "characters",
        "threads, first seen": "threads",
    }
    figure, panels = plt.subplots(2, 2, figsize=(8, 5.6), layout="constrained")
    for panel, (title, unit) in zip(panels.flat, subjects.items(), strict=True):
        highest = 1.5
        sizes: list[int] = []
        for algorithm, color in _COLORS.items():
            timings = series[f"{algorithm}: {title}"]
            sizes = [int(size) for size in timings]
            least = [timing["minimum"] for timing in timings.values()]
            relative = [each / least[0] for each in least]
            panel.plot(sizes, relative, marker="o", color=color, label=algorithm)
            highest = max(highest, 1.1 * max(relative))
        panel.set_xscale("log")
        panel.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
        panel.minorticks_off()
        panel.set_ylim(0, highest)
        panel.set_xlabel(unit)
        panel.set_title(f"{title[0].upper()}{title[1:]}", loc="left")
        panel.grid(axis="y", linewidth=0.4)
        _tidy(panel)
    panels.flat[0].set_ylabel("the first = 1")
    panels.flat[2].set_ylabel("the first = 1")
    panels.flat[0].legend(frameon=False)
    return figure


def draw_http(series: dict[str, Any]) -> Any:
    """Processor time of whole requests."""
    if not series:
        return None
    heights = [len(subjects) for subjects in series.values()]
    figure, panels = plt.subplots(
        len(series),
        1,
        figsize=(7, 0.32 * sum(heights) + 1.2),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )
    for panel, (title, subjects) in zip(panels.flat, series.items(), strict=True):
        names = list(subjects)[::-1]
        values = [subjects[name]["cpu"] for name in names]
        colors = [_color(name, "") for name in names]
        bars = panel.barh(names, values, color=colors)
        labels = [f" {subjects[name]['cpu']:.0f} µs" for name in names]
        panel.bar_label(bars, labels)
        panel.margins(x=0.1)
        panel.set_title(f"{title}: processor time a request", loc="left")
        _tidy(panel)
    return figure


def _color(name: str, floor: str) -> str:
    if name == floor or name.startswith(("no authentication", "the signature alone")):
        return _FLOOR
    return _OURS if name.startswith("jwtauth") else _OTHERS


def _tidy(panel: Any) -> None:
    panel.spines[["top", "right"]].set_visible(False)


PLOTS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "micro": draw_micro,
    "growth": draw_growth,
    "http": draw_http,
}

if __name__ == "__main__":
    main()
