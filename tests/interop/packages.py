"""Installing what the programs here need from npm."""

from __future__ import annotations

import fcntl
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT = 300
"""Seconds after which an installation has failed."""


def install(npm: str, folder: Path) -> None:
    """Have what ``package-lock.json`` in the folder names installed there, unless it is."""
    lock, installed = folder / "package-lock.json", folder / "node_modules/.installed"
    # Several processes may run tests at once: one installs, the others wait.
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if installed.exists() and installed.read_text() == lock.read_text():
            return
        done = subprocess.run(
            [npm, "ci"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        installed.write_text(lock.read_text())
