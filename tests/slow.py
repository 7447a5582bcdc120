"""The option ``--all``, which runs the tests marked ``slow`` too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--all", action="store_true", help="run the tests marked slow too")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "slow: left out unless --all is given")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Report what is left out; with workers, pytest's last line does not."""
    return [] if config.getoption("--all") else ["slow tests: left out, --all runs them"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the slow tests."""
    if config.getoption("--all"):
        return
    if slow := [item for item in items if item.get_closest_marker("slow")]:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
