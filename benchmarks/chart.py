"""The chart of the performance page: an SVG that follows the colours of the page around it."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

TITLE: Final = "CPU time that authentication adds to a request"
GROUPS: Final = {"rs256": "RS256", "eddsa": "EdDSA"}
WIDTH, LEFT, ROW = 720, 260, 22
STYLE: Final = """
.cost text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.cost .head { font-weight: 600; }
.cost rect { fill: #8c959f; }
.cost rect.ours { fill: #1a7f4b; }
.cost rect.floor { fill: #bf8700; }
@media (prefers-color-scheme: dark) {
  body:not([data-theme="light"]) .cost text { fill: #e6edf3; }
  svg.cost:root text { fill: #e6edf3; }
}
body[data-theme="dark"] .cost text { fill: #e6edf3; }
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
        lines.append(f'<text class="head" x="0" y="{y - 6}">{title}</text>')
        for name, (median, *_) in sorted(bars.items(), key=lambda item: item[1]):
            kind = "ours" if name.startswith("jwtauth") else "floor" if "only" in name else "peer"
            length = round(median / longest * (WIDTH - LEFT - 70), 1)
            text = escape(name.replace("`", ""))
            lines += [
                f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end">{text}</text>',
                f'<rect class="{kind}" x="{LEFT}" y="{y + 3}" width="{length}" height="16"/>',
                f'<text x="{LEFT + length + 6}" y="{y + 15}">{median:.0f} µs</text>',
            ]
            y += ROW
    size = f'viewBox="0 0 {WIDTH} {y + 8}" width="{WIDTH}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="cost" role="img" {size}>'
    parts = [head, f"<title>{TITLE}</title>", f"<style>{STYLE}</style>", *lines, "</svg>"]
    target.write_text("\n".join(parts) + "\n")
