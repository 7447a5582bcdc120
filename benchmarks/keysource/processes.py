"""The processes of a scenario, seen from the one that directs them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from tests.servers import RedisServer

from .hosts import IssuerHost
from .worker import Result, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

T = TypeVar("T")

TIMEOUT: Final = 120
_context: Final = multiprocessing.get_context("spawn")


class Remote:
    """A process that runs jobs: methods of the object that ``create`` returns there."""

    def __init__(self, create: Callable[..., object], *arguments: Any) -> None:
        self._pipe, theirs = _context.Pipe()
        self._process = _context.Process(
            target=_run_jobs, args=(theirs, create, *arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self, job: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Have it run a job after the jobs that were started before."""
        self._pipe.send((job, args, kwargs))

    def has_result(self) -> bool:
        """Whether ``result`` returns at once."""
        return self._pipe.poll()

    def result(self) -> Any:
        """Return the result of the first job whose result was not read yet, or raise its error."""
        if not self._pipe.poll(TIMEOUT):
            raise TimeoutError(f"no result from {self._process.name}")
        result = self._pipe.recv()
        if isinstance(result, Exception):
            raise result
        return result

    def do(self, job: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run a job and return its result."""
        self.start(job, *args, **kwargs)
        result: T = self.result()
        return result

    def interrupt(self) -> float:
        """Send SIGINT, as Ctrl-C does; return the seconds until the process has ended."""
        assert self._process.pid is not None
        began_at = time.monotonic()
        os.kill(self._process.pid, signal.SIGINT)
        self._process.join(60)
        return time.monotonic() - began_at

    def end(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _run_jobs(connection: Connection, create: Callable[..., object], *arguments: Any) -> None:
    subject = create(*arguments)
    while True:
        try:
            job, args, kwargs = connection.recv()
        except (EOFError, ConnectionError):
            return
        try:
            result = job(subject, *args, **kwargs)
        except KeyboardInterrupt:
            return
        except Exception as error:  # noqa: BLE001 - raised where the result is read.
            result = error
        try:
            connection.send(result)
        except ConnectionError:
            return


class Issuer(Remote):
    """An issuer in a process of its own."""

    def __init__(self) -> None:
        super().__init__(IssuerHost)
        self.renew()

    def renew(self, **options: Any) -> None:
        """Become another issuer, at another URL, that no process knows."""
        self.url, self.jwks_url = self.do(IssuerHost.renew, **options)

    @property
    def fetches(self) -> int:
        """The number of requests for the key set."""
        return self.do(IssuerHost.fetches)

    def tokens(self, number: int, *, foreign: bool = False) -> list[str]:
        """Return valid tokens, or tokens of a key that the issuer does not publish."""
        return self.do(IssuerHost.tokens, number, foreign=foreign)

    def answers(self, **answer: Any) -> None:
        """Respond like this from now on; see ``jwtauth.testing.Answer``."""
        self.do(IssuerHost.set_answer, **answer)

    def call(self, method: Callable[..., object], **options: Any) -> None:
        """Call a method of ``FaultyIssuer``."""
        self.do(IssuerHost.call, method, **options)


class Redis(RedisServer):
    """A Redis that runs until the block ends."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def usage(self) -> tuple[int, int]:
        """Return how many connections and commands it has received so far.

        Between two calls, they add a connection and two commands, ``INFO`` and ``QUIT``.
        """
        lines = (line.partition(":") for line in self.ask("INFO stats").splitlines())
        stats = {name: value for name, _, value in lines}
        return int(stats["total_connections_received"]), int(stats["total_commands_processed"])

    def ask(self, command: str) -> str:
        """Return the response to a command."""
        with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
            connection.sendall(f"{command}\r\nQUIT\r\n".encode())
            with connection.makefile("rb") as response:
                return response.read().decode()


class Workers:
    """Processes of one API, which share one Redis."""

    def __init__(self, remotes: Sequence[Remote]) -> None:
        self.remotes = remotes

    def first(self, number: int) -> Workers:
        """Return only so many of them."""
        return Workers(self.remotes[:number])

    def start(self, job: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Have all of them run a job."""
        for remote in self.remotes:
            remote.start(job, *args, **kwargs)

    def results(self) -> list[Any]:
        """Return the results of a job that was started."""
        return [remote.result() for remote in self.remotes]

    def do(self, job: Callable[..., T], *args: Any, **kwargs: Any) -> list[T]:
        """Have all of them run a job, and return the results."""
        self.start(job, *args, **kwargs)
        return self.results()

    def configure(self, issuer: Issuer, **options: Any) -> None:
        """Make them forget all keys, and trust this issuer."""
        self.do(Worker.configure, issuer.url, **{"JWKS_URL": issuer.jwks_url, **options})

    def warm(self, token: str) -> None:
        """Have each of them accept a token, one after the other."""
        for remote in self.remotes:
            result = remote.do(Worker.answer, token)
            assert result.status == 200, f"a valid token got {result.status}"

    def burst(self, tokens: Sequence[str]) -> list[Result]:
        """Have all of them answer all of these tokens at the same moment."""
        results = self.do(Worker.burst, tokens, time.time() + 0.5)
        return [result for each in results for result in each]

    def traffic(self, tokens: Sequence[str], seconds: float, **options: Any) -> list[Result]:
        """Return the responses to valid tokens; see ``Worker.traffic``."""
        self.start(Worker.traffic, tokens, seconds, **options)
        return self.traffic_results()

    def traffic_results(self) -> list[Result]:
        """Return the responses to the valid tokens of traffic that was started."""
        return [result for valid, _ in self.results() for result in valid]


@contextmanager
def workers(number: int, redis: Redis) -> Iterator[Workers]:
    """Start so many processes. Jobs that they are given wait until they are ready."""
    remotes = [Remote(Worker, redis.location) for _ in range(number)]
    try:
        yield Workers(remotes)
    finally:
        for remote in remotes:
            remote.end()
