"""What npm installs for the tests here."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

import pytest

from tests.machine import path_of

INTEROP = Path(__file__).parent
TIMEOUT = 300
"""Seconds after which an installation has failed."""


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node.js, with the packages of ``package-lock.json`` installed beside it."""
    node, npm = path_of("node"), path_of("npm")
    lock, installed = INTEROP / "package-lock.json", INTEROP / "node_modules/.installed"
    # Several processes may run tests at once: one installs, the others wait.
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_text() != lock.read_text():
            done = subprocess.run(
                [npm, "ci"],
                cwd=INTEROP,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            installed.write_text(lock.read_text())
    return node
