"""What the machine has that tests need and pip does not install."""

from __future__ import annotations

import shutil
import socket

import pytest


def path_of(program: str) -> str:
    """Where a program is. Whoever asks for one that is not installed is skipped."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def can_listen(address: str) -> bool:
    """Whether a server can have this address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def free_port() -> int:
    """One that nobody has taken yet: somebody may before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
