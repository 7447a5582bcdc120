"""Where published test vectors are: data that this project does not hold a copy of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[2]


def folder() -> Path:
    """The folder named by ``JWTAUTH_VECTORS``, or else the usual one beside the project."""
    named = os.environ.get("JWTAUTH_VECTORS")
    return Path(named) if named else _ROOT.parent / "shared" / "vectors"


needed = pytest.mark.skipif(
    not folder().is_dir(),
    reason="The published vectors are not here: name their folder in JWTAUTH_VECTORS.",
)
"""For tests that read vectors."""


def read(name: str) -> dict[str, Any]:
    """One file of vectors."""
    document: dict[str, Any] = json.loads((folder() / name).read_text("utf-8"))
    return document
