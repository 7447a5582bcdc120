"""Gunicorn with one of the projects in ``backend``."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HERE: Final = Path(__file__).parent


class Server(NamedTuple):
    """A server that runs: on which port, and the process that started the workers."""

    port: int
    pid: int

    def workers(self) -> list[int]:
        """Return the ids of the worker processes (Linux only)."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]


@contextmanager
def gunicorn(
    *, workers: int, threads: int, environment: Mapping[str, str], log: IO[bytes] | None = None
) -> Iterator[Server]:
    """Run gunicorn until the block ends. With one thread, its workers are sync."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        command = [
            *(sys.executable, "-m", "gunicorn", "backend.wsgi"),
            *("--bind", f"fd://{listening.fileno()}", "--graceful-timeout", "2"),
            *("--workers", str(workers), "--threads", str(threads), "--log-level", "warning"),
        ]
        with subprocess.Popen(
            command,
            cwd=HERE,
            env={**os.environ, **environment},
            stderr=log,
            pass_fds=[listening.fileno()],
        ) as process:
            try:
                wait_for(f"http://127.0.0.1:{port}/cpu")
                yield Server(port, process.pid)
            finally:
                process.terminate()


def wait_for(url: str) -> None:
    """Return when a server responds."""
    ends_at = time.monotonic() + 60
    while time.monotonic() < ends_at:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"{url} does not respond")
