"""Cache servers on loopback, at most one of each kind in a test session."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from .machine import free_port, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE = 30


class CacheServer(ABC):
    """A server process that tests stop, pause and start again on the same port."""

    program: ClassVar[str]
    backend: ClassVar[str]
    greeting: ClassVar[tuple[bytes, bytes]]

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @abstractmethod
    def arguments(self) -> list[str]:
        """Return the arguments of the program."""

    @property
    def location(self) -> str:
        """The ``LOCATION`` of the Django cache."""
        return f"127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, Any]:
        """An entry for ``CACHES``."""
        return {"BACKEND": self.backend, "LOCATION": self.location}

    def start(self) -> None:
        """Return when it answers."""
        for _ in range(5):
            self.port = self.port or free_port()
            self._process = subprocess.Popen(
                [self.program, *self.arguments()],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if self._answers():
                return
            # Another process has taken the port.
            self.kill()
            self.port = 0
        raise RuntimeError(f"{self.program} does not start")

    def kill(self) -> None:
        """End the server at once; it loses all data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_PATIENCE)
            self._process = None

    def pause(self) -> None:
        """Let it hang: the kernel accepts connections, and the server does not answer."""
        self._signal(signal.SIGSTOP)
        assert self._process
        os.waitpid(self._process.pid, os.WUNTRACED)  # Until all threads have stopped.

    def resume(self) -> None:
        """Let it continue."""
        self._signal(signal.SIGCONT)

    def restore(self) -> None:
        """Start or resume it, whatever a test did to it."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        else:
            self.resume()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        assert self._process is not None
        question, answer = self.greeting
        end = time.monotonic() + _PATIENCE
        while self._process.poll() is None and time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                    connection.sendall(question)
                    # The server of another process would answer something else.
                    return connection.recv(100).startswith(answer)
            except OSError:
                time.sleep(0.02)
        return False


class RedisServer(CacheServer):
    """A Redis that keeps everything in memory."""

    program = "redis-server"
    backend = "django.core.cache.backends.redis.RedisCache"
    greeting = b"PING\r\n", b"+PONG"

    def arguments(self) -> list[str]:
        return ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    @property
    def location(self) -> str:
        return f"redis://127.0.0.1:{self.port}"


class MemcachedServer(CacheServer):
    """A Memcached."""

    program = "memcached"
    backend = "django.core.cache.backends.memcached.PyMemcacheCache"
    greeting = b"version\r\n", b"VERSION"

    def arguments(self) -> list[str]:
        arguments = ["-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-m", "64"]
        # It runs as root only with this option.
        return [*arguments, "-u", "root"] if os.geteuid() == 0 else arguments


def _running(kind: type[CacheServer], directory: Path) -> Iterator[CacheServer]:
    path_of(kind.program)
    server = kind(directory)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def _redis_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CacheServer]:
    yield from _running(RedisServer, tmp_path_factory.mktemp("redis"))


@pytest.fixture(scope="session")
def _memcached_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CacheServer]:
    yield from _running(MemcachedServer, tmp_path_factory.mktemp("memcached"))


@pytest.fixture
def redis_server(_redis_of_the_session: CacheServer) -> Iterator[CacheServer]:
    """A running Redis, whatever earlier tests did to it."""
    yield _redis_of_the_session
    _redis_of_the_session.restore()


@pytest.fixture
def memcached_server(_memcached_of_the_session: CacheServer) -> Iterator[CacheServer]:
    """A running Memcached, whatever earlier tests did to it."""
    yield _memcached_of_the_session
    _memcached_of_the_session.restore()
