"""The servers that are put under load, and what processor time they take."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE: Final = Path(__file__).parent
WORKERS: Final = 2


class Server(NamedTuple):
    """A server that runs: where, and the processes whose time counts."""

    url: str
    processes: Sequence[int]


@contextmanager
def gunicorn(worker_class: str, **environment: str) -> Iterator[Server]:
    """The Django project under gunicorn."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        command = [
            *(sys.executable, "-m", "gunicorn", "backend.wsgi"),
            *("--bind", f"fd://{listening.fileno()}"),
            *("--workers", str(WORKERS), "--worker-class", worker_class),
            *("--log-level", "warning"),
        ]
        if worker_class == "gthread":
            command += ["--threads", "4"]
        with running(command, [listening.fileno()], environment) as process:
            wait_for(f"{url}/open")
            yield Server(url, wait_for_children(process.pid))


def can_use_pynacl() -> bool:
    """Whether ``jwtauth`` verifies with PyNaCl where that is installed."""
    code = "import sys, jwtauth.tokens.jose_keys; print('nacl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip() == "True"


@contextmanager
def node(issuer: str) -> Iterator[Server]:
    """The sample for Node.js."""
    with running(["node", str(HERE / "node" / "sample.js"), issuer]) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Server(f"http://127.0.0.1:{port}", [process.pid])


@contextmanager
def running(
    command: Sequence[str],
    pass_fds: Sequence[int] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended afterwards."""
    with subprocess.Popen(
        command,
        cwd=HERE,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def wait_for(url: str) -> None:
    """Return when a server answers."""
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"{url} does not answer")


def wait_for_children(parent: int) -> list[int]:
    """The processes that another has started, once all workers are there."""
    for _ in range(200):
        found = [pid for pid in all_processes() if parent_of(pid) == parent]
        if len(found) >= WORKERS:
            return found
        time.sleep(0.05)
    raise TimeoutError("the workers do not start")


def all_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def parent_of(pid: int) -> int | None:
    fields = stat(pid)
    return int(fields[1]) if fields else None


def processor_seconds(processes: Sequence[int]) -> float:
    """User and system time that processes have had so far."""
    ticks = 0
    for pid in processes:
        fields = stat(pid)
        assert fields, "a worker has ended"
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name; none where the process has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    # The name may hold spaces and parentheses.
    return text.rpartition(")")[2].split()
