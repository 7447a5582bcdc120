"""What a benchmark found: tables and goals, printed for people and written as JSON for programs."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio that is aimed at: no more than ``limit``, or no less where ``floor`` is set.

    ``least`` is what it must be at the very least, where that is not the same.
    """

    name: str
    value: float | None
    limit: float
    least: float | None = None
    floor: bool = False
    digits: int = 2

    @property
    def verdict(self) -> str:
        """In a word."""
        if self.value is None:
            return "not measured"
        if self._holds(self.limit):
            return "met"
        return "at least" if self.least is not None and self._holds(self.least) else "missed"

    def _holds(self, limit: float) -> bool:
        assert self.value is not None
        return self.value >= limit if self.floor else self.value <= limit

    def cells(self) -> list[Cell]:
        """A row of the table of goals."""
        sign = "≥" if self.floor else "≤"
        least = "" if self.least is None else f" ({self.least:g})"
        value = "" if self.value is None else f"{self.value:.{self.digits}f}"
        return [self.name, f"{sign} {self.limit:g}{least}", value, self.verdict]


@dataclass(slots=True)
class Report:
    """The findings of one benchmark."""

    name: str
    tables: list[dict[str, Any]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    series: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def table(self, title: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """Keep a table, and print it."""
        kept = [list(row) for row in rows]
        self.tables.append({"title": title, "header": list(header), "rows": kept})
        print(f"\n{title}\n{markdown(header, kept)}", flush=True)

    def note(self, text: str) -> None:
        """Keep a remark, and print it."""
        self.notes.append(text)
        print(f"\n{text}", flush=True)

    def write(self, path: Path | None) -> None:
        """Print the goals, and write all of it."""
        if self.goals:
            print(f"\n{goals_table(self.goals)}", flush=True)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            findings: dict[str, Any] = {**asdict(self), "environment": environment()}
            for goal, written in zip(self.goals, findings["goals"], strict=True):
                written["verdict"] = goal.verdict
            path.write_text(json.dumps(findings, indent=1, ensure_ascii=False) + "\n")


class Options(argparse.Namespace):
    """The arguments that every benchmark takes."""

    quick: bool
    json: Path | None


def options(description: str | None) -> Options:
    """Read the arguments of a benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    parser.add_argument("--json", type=Path, help="write the findings there too")
    return parser.parse_args(namespace=Options())


def markdown(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table in Markdown, its columns aligned for a terminal."""
    lines = [list(header), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        aligned = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(aligned)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(lines[0]), line(rule), *(line(cells) for cells in lines[1:])])


def goals_table(goals: Iterable[Goal]) -> str:
    """The table of goals, in Markdown."""
    header = ("goal", "at most / at least (the very least)", "measured", "verdict")
    return markdown(header, [goal.cells() for goal in goals])


def environment() -> dict[str, Any]:
    """What the figures depend on, as far as it can be told without naming the machine."""
    versions = {}
    for name in ("cryptography", "Django", "djangorestframework", "drf-zuplo-jwt", "python-jose"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "processors": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "versions": versions,
    }


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:,.1f}" if abs(cell) >= 10 else f"{cell:.2f}"
    return str(cell)
