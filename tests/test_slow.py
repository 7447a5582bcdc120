"""Slow tests run on request."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .readme import ROOT

if TYPE_CHECKING:
    from pathlib import Path

MODULE = """
import pytest

def test_quick(): pass

@pytest.mark.slow
def test_slow(): pass
"""


@pytest.mark.parametrize(
    ("options", "passed", "said"), [((), "1 passed", True), (("--all",), "2 passed", False)]
)
@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n", "2")], ids=["alone", "xdist"])
def test_slow_tests_are_left_out_unless_all_are_wanted(
    tmp_path: Path, workers: tuple[str, ...], options: tuple[str, ...], passed: str, *, said: bool
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    (tmp_path / "test_both.py").write_text(MODULE)

    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.slow", *workers, *options],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 0, answer.stdout
    assert passed in answer.stdout.splitlines()[-1]
    assert ("--all runs them" in answer.stdout) == said
