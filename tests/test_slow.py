"""Slow tests run on request."""

from __future__ import annotations

import sys

import pytest

from .readme import ROOT

pytest_plugins = ["pytester"]

MODULE = """
import pytest

def test_quick(): pass

@pytest.mark.slow
def test_slow(): pass
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A quick test and a slow one, run with the hooks under test alone."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini("[pytest]\naddopts = --strict-markers -p tests.slow")
    pytester.makepyfile(MODULE)
    return pytester


@pytest.mark.parametrize(("options", "passed", "deselected"), [((), 1, 1), (("--all",), 2, 0)])
def test_slow_tests_are_left_out_unless_all_are_wanted(
    suite: pytest.Pytester, options: tuple[str, ...], passed: int, deselected: int
) -> None:
    done = suite.runpytest_inprocess(*options)

    done.assert_outcomes(passed=passed, deselected=deselected)
    assert ("--all runs them" in done.stdout.str()) == bool(deselected)


@pytest.mark.slow
def test_workers_leave_slow_tests_out_too(suite: pytest.Pytester) -> None:
    done = suite.run(sys.executable, "-m", "pytest", "-p", "xdist", "-n", "1")

    assert done.parseoutcomes() == {"passed": 1}
    done.stdout.fnmatch_lines(["*--all runs them*"])
