"""Gunicorn with one of the projects in ``backend``."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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
    *, workers: int, threads: int, environment: Mapping[str, str], log: int | None = None
) -> Iterator[Server]:
    """Run gunicorn until the block ends. With one thread, its workers are sync."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)  # Early requests wait for the first worker.
        port = listening.getsockname()[1]
        command = [
            *(sys.executable, "-m", "gunicorn", "backend.wsgi"),
            *("--bind", f"fd://{listening.fileno()}", "--graceful-timeout", "2"),
            *("--workers", str(workers), "--threads", str(threads), "--log-level", "warning"),
        ]
        with subprocess.Popen(
            command,
            cwd=Path(__file__).parent,
            env={**os.environ, **environment},
            stderr=log,
            pass_fds=[listening.fileno()],
        ) as process:
            try:
                yield Server(port, process.pid)
            finally:
                process.terminate()
