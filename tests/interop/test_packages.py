from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .packages import install

if TYPE_CHECKING:
    from pathlib import Path

NPM = """#!/bin/sh
echo "$@" >>runs
mkdir -p node_modules
test "$(cat package-lock.json)" != broken || { echo "no such package" >&2; exit 1; }
"""


@pytest.fixture
def npm(tmp_path: Path) -> str:
    """An npm that takes note of its runs, and cannot install what is broken."""
    program = tmp_path / "npm"
    program.write_text(NPM)
    program.chmod(0o755)
    return str(program)


def test_packages_are_installed_again_when_other_ones_are_asked_for(
    npm: str, tmp_path: Path
) -> None:
    lock, runs = tmp_path / "package-lock.json", tmp_path / "runs"
    for text, number in [("one", 1), ("one", 1), ("other", 2), ("other", 2)]:
        lock.write_text(text)
        install(npm, tmp_path)

        assert runs.read_text() == "ci\n" * number


def test_an_installation_that_failed_says_why_and_is_tried_again(npm: str, tmp_path: Path) -> None:
    (tmp_path / "package-lock.json").write_text("broken")

    for _ in range(2):
        with pytest.raises(AssertionError, match="no such package"):
            install(npm, tmp_path)
    assert (tmp_path / "runs").read_text() == "ci\nci\n"
