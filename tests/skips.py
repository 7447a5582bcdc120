"""Where ``CI`` is set in the environment, a skipped test fails the run.

On a machine of yours a test may skip itself where a server that it needs is not installed. In CI
everything is installed, and a skip is a hole that nobody would notice.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a run that passed into one that failed."""
    if _skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Say why it failed."""
    if count := _skipped(config):
        terminalreporter.section("skipped in CI", red=True)
        terminalreporter.line(f"{count} skipped, and none may be while CI is set.", red=True)


def _skipped(config: pytest.Config) -> int:
    """The number of tests and modules that were skipped, where that counts."""
    # Workers of xdist have no reporter: their reports come together in the one of the session.
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return 0
    return len(reporter.stats.get("skipped", ()))
