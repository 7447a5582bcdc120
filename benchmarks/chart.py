"""The chart of the performance page: an SVG, dark where the reader prefers that."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

TITLE: Final = "CPU time that authentication adds to a request"
GROUPS: Final = {"rs256": "RS256", "eddsa": "EdDSA"}
WIDTH, LEFT, ROW = 720, 290, 22
STYLE: Final = """
.card { fill: #ffffff; stroke: #d0d7de; }
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.head { font-weight: 600; }
.peer { fill: #9aa4ae; }
.floor { fill: #c98f1b; }
.ours { fill: #2f7d4f; }
@media (prefers-color-scheme: dark) {
  .card { fill: #161b22; stroke: #30363d; }
  text { fill: #e6edf3; }
  .peer { fill: #768390; }
  .ours { fill: #5cb283; }
}
"""


def draw(results: Path, target: Path) -> None:
    """Draw what ``whole_request.py`` found: the medians of microseconds more than no check."""
    groups = {}
    for name, title in GROUPS.items():
        groups[title] = json.loads((results / f"request-{name}.json").read_text())
    fast = json.loads((results / "request-eddsa-fast.json").read_text())
    groups["EdDSA"]["jwtauth, first seen, extra fast"] = fast["jwtauth, first seen"]
    longest = max(median for bars in groups.values() for median, *_ in bars.values())
    lines, y = [], 0
    for title, bars in groups.items():
        y += 2 * ROW
        lines.append(f'<text class="head" x="20" y="{y - 4}">{title}</text>')
        for name, (median, *_) in sorted(bars.items(), key=lambda item: item[1]):
            kind = "ours" if name.startswith("jwtauth") else "floor" if "only" in name else "peer"
            length = round(max(median, 0) / longest * (WIDTH - LEFT - 70), 1)
            text = escape(name.replace("`", ""))
            lines += [
                f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end">{text}</text>',
                f'<rect class="{kind}" x="{LEFT}" y="{y + 3}" width="{length}" height="16"/>',
                f'<text x="{LEFT + length + 6}" y="{y + 15}">{median:.0f} µs</text>',
            ]
            y += ROW
    height = y + ROW
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img">'
    )
    card = f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>'
    parts = [head, f"<title>{TITLE}</title>", f"<style>{STYLE}</style>", card, *lines, "</svg>"]
    target.write_text("\n".join(parts) + "\n")
