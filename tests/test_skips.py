"""A run in CI may skip nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PASSES = "def test_passes(): pass\n"
SKIPS = "import pytest\n\n@pytest.mark.skip('no server here')\ndef test_skips(): pass\n"
SKIPS_ALL = "import pytest\n\npytest.skip('no library here', allow_module_level=True)\n"
FAILS_AS_EXPECTED = "import pytest\n\n@pytest.mark.xfail\ndef test_fails(): assert False\n"


def run(
    directory: Path, module: str, *options: str, ci: str = "true"
) -> subprocess.CompletedProcess[str]:
    """Run pytest on a passing test and on ``module``, with the hooks under test alone."""
    (directory / "pytest.ini").write_text("[pytest]\naddopts = -ra -p no:cacheprovider\n")
    (directory / "test_first.py").write_text(PASSES)
    (directory / "test_second.py").write_text(module)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.skips", *options],
        cwd=directory,
        env={
            **os.environ,
            "CI": ci,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "2")], ids=["alone", "xdist"])
@pytest.mark.parametrize(
    ("module", "reason"), [(SKIPS, "no server here"), (SKIPS_ALL, "no library here")]
)
def test_a_skip_fails_the_run_in_ci_and_is_listed_with_its_reason(
    tmp_path: Path, module: str, reason: str, options: tuple[str, ...]
) -> None:
    answer = run(tmp_path, module, *options)

    assert answer.returncode == 1, answer.stdout
    assert reason in answer.stdout
    assert "1 skipped, and none may be while CI is set." in answer.stdout
    assert "1 passed, 1 skipped" in answer.stdout.splitlines()[-1]


def test_a_skip_fails_nothing_outside_of_ci(tmp_path: Path) -> None:
    answer = run(tmp_path, SKIPS, ci="")

    assert answer.returncode == 0, answer.stdout
    assert "none may be" not in answer.stdout


@pytest.mark.parametrize("module", [PASSES, FAILS_AS_EXPECTED])
def test_a_run_without_a_skip_passes_in_ci(tmp_path: Path, module: str) -> None:
    answer = run(tmp_path, module)

    assert answer.returncode == 0, answer.stdout


def test_a_failure_stays_the_failure_that_it_is(tmp_path: Path) -> None:
    answer = run(tmp_path, f"{SKIPS}\ndef test_fails(): assert False\n")

    assert answer.returncode == 1, answer.stdout
    assert "1 failed, 1 passed, 1 skipped" in answer.stdout.splitlines()[-1]
