"""A run in CI may skip nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from .readme import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]

PASSES = "def test_passes(): pass\n"
SKIPS = "import pytest\n\n@pytest.mark.skip('no server here')\ndef test_skips(): pass\n"
SKIPS_ALL = "import pytest\n\npytest.skip('no library here', allow_module_level=True)\n"
FAILS_AS_EXPECTED = "import pytest\n\n@pytest.mark.xfail\ndef test_fails(): assert False\n"


@pytest.fixture
def write(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], pytest.Pytester]:
    """Write a passing test and ``module``, to run in CI with the hooks under test alone."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini("[pytest]\naddopts = -ra -p no:cacheprovider -p tests.skips\n")

    def write_tests(module: str) -> pytest.Pytester:
        pytester.makepyfile(test_first=PASSES, test_second=module)
        return pytester

    return write_tests


@pytest.mark.parametrize(
    ("module", "reason"), [(SKIPS, "no server here"), (SKIPS_ALL, "no library here")]
)
def test_a_skip_fails_the_run_in_ci_and_is_listed_with_its_reason(
    write: Callable[[str], pytest.Pytester], module: str, reason: str
) -> None:
    done = write(module).runpytest_inprocess()

    done.assert_outcomes(passed=1, skipped=1)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    done.stdout.fnmatch_lines_random([f"SKIPPED*{reason}", "1 skipped, and none may be *"])


@pytest.mark.slow
def test_a_skip_in_a_worker_fails_the_run_in_ci_too(
    write: Callable[[str], pytest.Pytester],
) -> None:
    done = write(SKIPS).run(sys.executable, "-m", "pytest", "-p", "xdist", "-n", "1")

    assert done.parseoutcomes() == {"passed": 1, "skipped": 1}
    assert done.ret == pytest.ExitCode.TESTS_FAILED


def test_a_skip_fails_nothing_outside_of_ci(
    write: Callable[[str], pytest.Pytester], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "")
    done = write(SKIPS).runpytest_inprocess()

    done.assert_outcomes(passed=1, skipped=1)
    assert done.ret == pytest.ExitCode.OK
    assert "none may be" not in done.stdout.str()


@pytest.mark.parametrize("module", [PASSES, FAILS_AS_EXPECTED])
def test_a_run_without_a_skip_passes_in_ci(
    write: Callable[[str], pytest.Pytester], module: str
) -> None:
    assert write(module).runpytest_inprocess().ret == pytest.ExitCode.OK


def test_a_failure_stays_the_failure_that_it_is(write: Callable[[str], pytest.Pytester]) -> None:
    done = write(f"{SKIPS}\ndef test_fails(): assert False\n").runpytest_inprocess()

    done.assert_outcomes(failed=1, passed=1, skipped=1)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
