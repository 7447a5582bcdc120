"""Measured figures, and the tables in Markdown that the documentation includes."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Spread(NamedTuple):
    """The median of some rounds, and their range."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sum up one figure per round."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        digits = 1 if abs(self.median) >= 10 else 2
        return f"{self.median:.{digits}f} ({self.least:.{digits}f} to {self.most:.{digits}f})"


def options(description: str | None) -> argparse.Namespace:
    """Read the arguments of a benchmark."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    default = Path(__file__).parent / "results"
    parser.add_argument("--tables", type=Path, default=default, help="the folder for the tables")
    parser.add_argument("--rows", default="", help="the numbers of some rows (key_source.py only)")
    return parser.parse_args()


def publish(
    folder: Path, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Print a table, and write it to a file."""
    table = markdown(header, rows)
    print(f"\n{name}\n{table}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(f"{table}\n")


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["-", *["-:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def machine() -> str:
    """Say what the figures depend on, without naming the machine."""
    versions = (f"{name} {importlib.metadata.version(name)}" for name in ("Django", "cryptography"))
    system, python = platform.system(), platform.python_version()
    return f"{os.cpu_count()} processors, {system}, Python {python}, {', '.join(versions)}"
