"""The processes of a scenario: an issuer, a Redis, and the workers of an API."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from . import worker

sys.path.append(str(Path(__file__).parents[2]))  # ``tests`` is not installed.

from tests.faults import Answer, FaultyIssuer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

PATIENCE: Final = 120
_context = multiprocessing.get_context("spawn")


class Remote:
    """A process that does what it is told through a pipe."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self._pipe, theirs = _context.Pipe()
        self._process = _context.Process(target=target, args=(theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    def send(self, name: str, **arguments: Any) -> None:
        """Tell it to do something."""
        self._pipe.send((name, arguments))

    def result(self) -> Any:
        """What came of it; raises what was raised there."""
        if not self._pipe.poll(PATIENCE):
            raise TimeoutError(f"no word from {self._process.name}")
        result = self._pipe.recv()
        if isinstance(result, Exception):
            raise result
        return result

    def do(self, name: str, **arguments: Any) -> Any:
        """Tell it, and wait for what comes of it."""
        self.send(name, **arguments)
        return self.result()

    def end(self) -> None:
        """Have it end."""
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


class Issuer:
    """An issuer in a process of its own; its keys are new, and it is well."""

    def __init__(self) -> None:
        self._remote = Remote(_serve_issuers)
        self.url, self.jwks_url, self.kid = self._remote.result()

    def renew(self) -> None:
        """Be another issuer, at another URL, that nobody has asked yet."""
        self.url, self.jwks_url, self.kid = self._remote.do("renew")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._remote.end()

    @property
    def fetches(self) -> int:
        """The number of requests for its key set."""
        fetches: int = self._remote.do("fetches")
        return fetches

    def tokens(self, number: int) -> list[str]:
        """So many good tokens."""
        tokens: list[str] = self._remote.do("tokens", number=number)
        return tokens

    def answers(self, **answer: Any) -> None:
        """Answer like this from now on; see ``tests.faults.Answer``."""
        self._remote.do("answers", **answer)

    def answers_with_bad_keys(self) -> None:
        """Publish the good keys among twenty that nobody can use."""
        self._remote.do("answers_with_bad_keys")

    def stops(self) -> None:
        """Refuse connections."""
        self._remote.do("stop")

    def hangs(self) -> None:
        """Accept requests, and never answer."""
        self._remote.do("hold")

    def goes_on(self) -> None:
        """Answer what waits."""
        self._remote.do("release")

    def rotates(self) -> None:
        """Have new keys, and none of the old."""
        self._remote.do("rotate")


def _serve_issuers(connection: Connection) -> None:
    while _serve_one(connection):
        pass


def _serve_one(connection: Connection) -> bool:
    """Serve an issuer until there is to be another, or none."""
    with FaultyIssuer(["EdDSA"], trusted=False) as issuer:
        jobs: dict[str, Callable[..., Any]] = {
            "fetches": lambda: issuer.fetches,
            "tokens": lambda number: [issuer.token(sub=f"user-{n}") for n in range(number)],
            "answers": lambda **answer: setattr(issuer, "jwks_answer", Answer(**answer)),
            "answers_with_bad_keys": lambda: setattr(
                issuer, "jwks_answer", Answer(body=_with_bad_keys(issuer.jwks()["keys"]))
            ),
            "stop": issuer.stop,
            "hold": issuer.hold,
            "release": issuer.release,
            "rotate": issuer.rotate,
        }
        connection.send((issuer.url, issuer.jwks_url, issuer.keys[0].kid))
        while True:
            try:
                name, arguments = connection.recv()
            except EOFError:
                return False
            if name == "renew":
                return True
            connection.send(jobs[name](**arguments))


def _with_bad_keys(good: list[dict[str, Any]]) -> dict[str, Any]:
    rsa = {"kty": "RSA", "use": "sig", "alg": "RS256"}
    bad: list[Any] = [
        {"kty": "LWE", "kid": "unknown type"},
        {"kty": "OKP", "crv": "Ed448", "x": "A" * 76, "kid": "unknown curve"},
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43, "kid": "no signatures"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "no x"},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "kid": "small order"},
        {"kty": "OKP", "crv": "Ed25519", "x": "!", "kid": "no base64"},
        {"kty": "OKP", "crv": "Ed25519", "x": 7, "kid": "no text"},
        {**rsa, "n": "", "e": "AQAB", "kid": "empty"},
        {**rsa, "n": "A" * 43, "e": "AQAB", "kid": "short"},
        {**rsa, "n": "_" * 342, "e": "AQ", "kid": "e is 1"},
        {**rsa, "n": "?", "e": "AQAB", "kid": "broken"},
        {**rsa, "e": "AQAB", "kid": "no n"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "no point"},
        {"kty": "EC", "crv": "secp256k1", "x": "A" * 43, "y": "A" * 43, "kid": "odd curve"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a secret"},
        {"kty": "OKP", "crv": "Ed25519", "d": "A" * 43, "x": "B" * 43, "kid": "private"},
        {"kid": "no type"},
        {"kty": None, "kid": 7},
        None,
        "no object",
    ]
    return {"keys": [*bad[:10], *good, *bad[10:]]}


class Redis:
    """A Redis that keeps everything in memory."""

    def __init__(self) -> None:
        if shutil.which("redis-server") is None:
            sys.exit("The scenarios need redis-server (Debian: apt-get install redis-server).")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Return when it answers."""
        command = ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1"]
        self._process = subprocess.Popen(
            [*command, "--save", "", "--appendonly", "no"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ends_at = time.monotonic() + 10
        while self._process.poll() is None and time.monotonic() < ends_at:
            try:
                if self._ask(b"PING\r\n").startswith(b"+PONG"):
                    return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("redis-server does not start")

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it hang."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def clear(self) -> None:
        """Forget everything."""
        self._ask(b"FLUSHALL\r\n")

    def _ask(self, question: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self._port), 2) as connection:
            connection.sendall(question)
            return connection.recv(100)


class Workers:
    """Processes of one API, which share one Redis."""

    def __init__(self, remotes: Sequence[Remote]) -> None:
        self._remotes = remotes

    def first(self, number: int) -> Workers:
        """Only so many of them."""
        return Workers(self._remotes[:number])

    def split(self) -> list[Workers]:
        """Each of them by itself."""
        return [Workers([remote]) for remote in self._remotes]

    def configure(self, issuer: Issuer, **options: Any) -> None:
        """Have them all forget what they know, and trust this issuer."""
        self.do("configure", peer=False, issuer=issuer.url, jwks_url=issuer.jwks_url, **options)

    def configure_peer(
        self, issuer: Issuer, *, ttl: float = 600, cooldown: float = 30, timeout: float = 5
    ) -> None:
        """The same with PyJWT in place of our app."""
        lifetimes = {"ttl": ttl, "cooldown": cooldown, "timeout": timeout}
        self.do("configure", peer=True, issuer=issuer.url, jwks_url=issuer.jwks_url, **lifetimes)

    def warm(self, token: str) -> None:
        """Have each serve one request, which has to be good."""
        for remote in self._remotes:
            status = remote.do("serve", token=token)
            assert status == 200, f"a good token got {status}"

    def start(self, name: str, **arguments: Any) -> None:
        """Tell all of them to do something."""
        for remote in self._remotes:
            remote.send(name, **arguments)

    def results(self) -> list[Any]:
        """What came of it."""
        return [remote.result() for remote in self._remotes]

    def do(self, name: str, **arguments: Any) -> list[Any]:
        """Tell all of them, and wait."""
        self.start(name, **arguments)
        return self.results()

    def burst(self, tokens: Sequence[str]) -> worker.Tally:
        """All of them answer all of these at the same moment."""
        tallies = self.do("burst", tokens=tokens, starts_at=time.time() + 0.5)
        return worker.Tally.total(tallies)

    def traffic(self, **arguments: Any) -> tuple[worker.Tally, worker.Tally]:
        """Good tokens and floods; see ``worker.Jobs.traffic``."""
        self.start("traffic", **arguments)
        return self.traffic_results()

    def traffic_results(self) -> tuple[worker.Tally, worker.Tally]:
        """What came of traffic that was started."""
        results = self.results()
        return (
            worker.Tally.total([good for good, _ in results]),
            worker.Tally.total([flood for _, flood in results]),
        )


@contextmanager
def workers(number: int, redis: Redis) -> Iterator[Workers]:
    """So many processes, ready to be configured."""
    remotes = [Remote(worker.work, redis.url) for _ in range(number)]
    try:
        for remote in remotes:
            remote.result()
        yield Workers(remotes)
    finally:
        for remote in remotes:
            remote.end()
