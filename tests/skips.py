"""If ``CI`` is set in the environment, a skipped test fails the run.

On your machine, a test may skip itself if a server that it needs is not installed. In CI everything
is installed, so a skipped test is a mistake.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that has passed but skipped tests."""
    if _skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Report why the run failed."""
    if count := _skipped(config):
        terminalreporter.section("skipped in CI", red=True)
        terminalreporter.line(f"{count} skipped, and none may be while CI is set.", red=True)


def _skipped(config: pytest.Config) -> int:
    """Return the number of skipped tests and modules in CI, and 0 elsewhere."""
    # Workers of xdist have no reporter; the reporter of the session has all reports.
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return 0
    return len(reporter.stats.get("skipped", ()))
