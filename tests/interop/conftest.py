"""What npm installs for the tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machine import path_of

from .packages import install


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node.js, with the packages of ``package-lock.json`` installed beside it."""
    node, npm = path_of("node"), path_of("npm")
    install(npm, Path(__file__).parent)
    return node
