"""Parse the README."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """Return the code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def snippets(name: str) -> list[str]:
    """Return the Python blocks whose first line names this file."""
    return [block for block in blocks("python") if block.startswith(f"# {name}\n")]


def table(*header: str) -> list[list[str]]:
    """Return the rows of the only table with this header, each as a list of cells."""
    pattern = rf"^\| {re.escape(' | '.join(header))} \|\n\|[ |-]+\|\n((?:\|.*\|\n)+)"
    (rows,) = re.findall(pattern, README, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows.splitlines()]
