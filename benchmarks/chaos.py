"""Break everything at random around an API, and judge each of its responses.

Gunicorn workers, a Redis, an issuer and clients run as real processes. Random faults, the same for
the same seed, meet the issuer, the Redis and the workers, while keys are replaced and forged tokens
arrive. The exit status is 1 if a forged token was accepted, a token of a removed key was accepted
although the issuer had answered within 1 s for T + D, a response was 500, or a valid token got
anything but 200 and no rule of ``docs/why/keys.md`` explains it.

Needs Linux, and Debian's ``redis-server``.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from keysource import judge
from keysource.judge import CACHE, ISSUER, WORKER, Answer, Fault, History, Probe, Response
from keysource.processes import Redis, Remote
from report import machine, markdown
from servers import gunicorn

from jwtauth.testing import Issuer, SigningKey
from tests.faults import Answer as HTTPAnswer
from tests.faults import FaultyIssuer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WORKERS: Final = 3
CLIENTS: Final = 2
THREADS_PER_CLIENT: Final = 4
SECONDS_PER_STEP: Final = 0.5
SECONDS_PER_PROBE: Final = 1
PAGE: Final = Path(__file__).parents[1] / "docs" / "performance" / "tables" / "chaos.md"

# How the issuer answers.
ANSWERS: Final[dict[str, HTTPAnswer]] = {
    "slow (0.8 s)": HTTPAnswer(delay=0.8),
    "slow (3 s)": HTTPAnswer(delay=3),
    "status 500": HTTPAnswer(status=500),
    "not JSON": HTTPAnswer(body=b"<html>"),
    judge.NO_USABLE_KEYS: HTTPAnswer(body={"keys": []}),
    "dripping": HTTPAnswer(body_pause=0.1),
    "cut off": HTTPAnswer(reset_after=10),
}
# For each subject the seconds between two faults, and the seconds that each fault lasts.
Range = tuple[float, float]
FAULTS: Final[dict[str, tuple[Range, dict[str, Range]]]] = {
    ISSUER: (
        (0.5, 9),
        {
            "down": (1, 4),
            "down for long": (judge.TTL + judge.STALE_TTL, judge.TTL + judge.STALE_TTL + 3),
            "hanging": (1, 4),
            **dict.fromkeys(ANSWERS, (1, 4)),
        },
    ),
    CACHE: ((1, 5), {"killed": (0, 4), judge.FROZEN: (0, 4), "flushed": (0, 0), "full": (1, 4)}),
    WORKER: ((2, 10), {"killed": (0, 0)}),
    "keys": ((6, 16), {"replaced": (0, 0), "replaced with overlap": (0.5, 3)}),
    "clients": ((3, 12), {"flood of forged tokens": (1, 4)}),
}


class Event(NamedTuple):
    """The beginning or the end of a fault, seconds after the start."""

    at: float
    subject: str
    name: str
    begins: bool


def plan(seed: int, seconds: float) -> list[Event]:
    """Return the faults of a run: for each subject one after the other, every one in turn."""
    events: list[Event] = []
    for subject, (pauses, faults) in FAULTS.items():
        chance = random.Random(f"{seed} {subject}")
        at, names = chance.uniform(2, 4), list[str]()
        while at < seconds:
            names = names or chance.sample(list(faults), len(faults))
            name = names.pop()
            ends_at = at + chance.uniform(*faults[name])
            events += [
                Event(at, subject, name, begins=True),
                Event(ends_at, subject, name, begins=False),
            ]
            at = ends_at + chance.uniform(*pauses)
    return sorted(events, key=lambda event: event.at)


class LoggingIssuer(FaultyIssuer):
    """An issuer with given keys, which keeps a record of what it answered to the workers."""

    def __init__(self) -> None:
        super().__init__([], trusted=False)
        self._published: dict[str, Any] = {}
        self._answers: list[Answer] = []
        self.start()

    def address(self) -> str:
        """Return its URL."""
        return self.url

    def jwks(self) -> dict[str, Any]:
        return {"keys": list(self._published.values())}

    def publish(self, keys: dict[str, Any]) -> float:
        """Publish these JWKs, by their names, and return when."""
        self._published = keys
        return time.time()

    def take_answers(self) -> list[Answer]:
        """Return the answers since the last call."""
        answers, self._answers = self._answers, []
        return answers

    def change(self, name: str, *, begins: bool) -> None:
        """Start or end a fault."""
        self.jwks_answer = ANSWERS.get(name, HTTPAnswer()) if begins else HTTPAnswer()
        if name.startswith("down"):
            (self.stop if begins else self.start)()
        elif name == "hanging":
            (self.hold if begins else self.release)()

    def _respond(self, request: Any, server: Any) -> Any:
        began_at = time.time()
        answer, body = super()._respond(request, server)
        if "probe" not in request.path:
            at = time.time() + answer.delay
            # Only a delayed answer delivers the keys, unless the client has given up.
            is_good = answer == HTTPAnswer(delay=answer.delay) and at < began_at + judge.TIMEOUT
            keys = frozenset(self._published if is_good else ())
            asked = "no-cache" in (request.headers["Cache-Control"] or "")
            self._answers.append(Answer(at, keys, asked))
        return answer, body


class Client:
    """Sends tokens to the API, in some threads."""

    def __init__(self, port: int) -> None:
        self._port = port

    def traffic(self, tokens: Sequence[tuple[str, str]], seconds: float) -> list[Response]:
        """Send random ones of these pairs of a key's name and a token; return the responses."""
        ends_at = time.monotonic() + seconds

        def send() -> list[Response]:
            responses = []
            while time.monotonic() < ends_at:
                responses.append(self._send(*random.choice(tokens)))
                time.sleep(0.03)
            return responses

        with ThreadPoolExecutor(THREADS_PER_CLIENT) as pool:
            sending = [pool.submit(send) for _ in range(THREADS_PER_CLIENT)]
            return [response for each in sending for response in each.result()]

    def _send(self, key: str, token: str) -> Response:
        sent_at = time.time()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
        try:
            connection.request("GET", "/protected/", headers={"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            body, headers = response.read(), response.headers
        except (OSError, http.client.HTTPException):
            return Response(key, sent_at, time.time(), judge.NO_RESPONSE)
        finally:
            connection.close()
        code = json.loads(body).get("code", "") if response.status in {401, 503} else ""
        retry_after = int(headers["Retry-After"] or 0)
        return Response(
            key, sent_at, time.time(), response.status, code, retry_after, headers["X-Worker"] or ""
        )


class Run:
    """The processes of a run, and what happened to them."""

    def __init__(self, stack: ExitStack) -> None:
        self.history = History()
        self._faults: dict[str, Fault] = {}
        folder = stack.enter_context(TemporaryDirectory())
        self._redis = stack.enter_context(Redis(Path(folder)))
        self._issuer = stack.enter_context(Remote(LoggingIssuer))
        self._url = self._issuer.do(LoggingIssuer.address)
        self._keys: dict[str, SigningKey] = {}
        self._published: list[str] = []
        self._stranger = SigningKey.generate()
        self._is_flooded = False
        self._replace_key(keep_old=False)
        self._server = stack.enter_context(
            gunicorn(
                workers=WORKERS,
                threads=4,
                log=subprocess.DEVNULL,
                environment={
                    "DJANGO_SETTINGS_MODULE": "backend.fleet",
                    "BENCHMARK_REDIS": self._redis.location,
                    "BENCHMARK_JWTAUTH": json.dumps({"ISSUER": self._url, **judge.SETTINGS}),
                },
            )
        )
        port = self._server.port
        self._clients = [stack.enter_context(Remote(Client, port)) for _ in range(CLIENTS)]

    def step(self, events: deque[Event], began_at: float) -> list[Response]:
        """Let the clients send tokens while events happen that are due; return the responses."""
        tokens = list(self._tokens())
        for client in self._clients:
            client.start(Client.traffic, tokens, SECONDS_PER_STEP)
        while not all(client.has_result() for client in self._clients):
            while events and time.monotonic() >= began_at + events[0].at:
                self._perform(events.popleft())
            time.sleep(0.01)
        self.history.answers += self._issuer.do(LoggingIssuer.take_answers)
        return [response for client in self._clients for response in client.result()]

    def probe(self, is_over: threading.Event) -> None:
        """Check all the time how the issuer answers."""
        url = f"{self._url}/.well-known/jwks.json?probe"
        while not is_over.wait(judge.PROBE_INTERVAL):
            began_at, is_good = time.time(), False
            try:
                with urllib.request.urlopen(url, timeout=SECONDS_PER_PROBE) as response:
                    is_good = bool(json.load(response)["keys"])
            except (OSError, ValueError, http.client.HTTPException):
                pass
            self.history.probes.append(Probe(began_at, time.time(), is_good))

    def _perform(self, event: Event) -> None:
        """Start or end a fault."""
        _, subject, name, begins = event
        if begins:
            self._faults[subject] = Fault(subject, name, time.time())
            self.history.faults.append(self._faults[subject])
        if subject == ISSUER:
            self._issuer.do(LoggingIssuer.change, name, begins=begins)
        elif subject == CACHE:
            redis = self._redis
            changes: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
                "killed": (redis.start, redis.kill),
                judge.FROZEN: (redis.resume, redis.pause),
                "flushed": (bool, partial(redis.ask, "FLUSHALL")),
                "full": (
                    partial(redis.ask, "CONFIG SET maxmemory 0"),
                    partial(redis.ask, "CONFIG SET maxmemory 1"),
                ),
            }
            changes[name][begins]()
        elif subject == WORKER and begins:
            workers = self._server.workers()
            os.kill(workers[len(self.history.faults) % len(workers)], signal.SIGKILL)
        elif subject == "keys" and begins:
            self._replace_key(keep_old=name == "replaced with overlap")
        elif subject == "keys":
            self._publish(self._published[:1])
        elif subject == "clients":
            self._is_flooded = begins
        if not begins:
            self._faults[subject].ended_at = time.time()

    def _replace_key(self, *, keep_old: bool) -> None:
        name = f"key {len(self._keys)}"
        self._keys[name] = SigningKey.generate()
        self._publish([name, *(self._published if keep_old else [])])
        self._cached = [(name, self._token(self._keys[name])) for _ in range(8)]

    def _publish(self, names: list[str]) -> None:
        jwks = {name: self._keys[name].public_jwk() for name in names}
        at = self._issuer.do(LoggingIssuer.publish, jwks)
        for name in set(names) - set(self._published):
            self.history.keys[name] = judge.Lifetime(at)
        for name in set(self._published) - set(names):
            self.history.keys[name].removed_at = at
        self._published = names

    def _token(self, key: SigningKey, **options: Any) -> str:
        issuer = Issuer(self._url, [])
        return issuer.token(key=key, lifetime=3600, sub=os.urandom(8).hex(), **options)

    def _tokens(self) -> Iterator[tuple[str, str]]:
        """Yield valid tokens, cached ones and new ones, tokens of removed keys, and forged ones."""
        signing, *others = self._published
        yield from self._cached
        for name in [signing] * 8 + others:
            yield name, self._token(self._keys[name])
        # Tokens of unknown keys make the API ask the issuer. Except in a flood, T should decide.
        recently = time.time() - 2 * (judge.TTL + judge.TIMEOUT)
        for name, key in self.history.keys.items():
            if recently < key.removed_at < inf:
                yield name, self._token(self._keys[name])
        yield "forged", self._token(self._stranger, algorithm="EdDSA", headers={"alg": "none"})
        yield "forged", self._token(self._stranger, iss="https://other.test")
        signature = self._cached[0][1].rpartition(".")[2]
        for number in range(10 if self._is_flooded else 0):
            token = self._token(self._stranger)
            yield "forged", token
            yield "forged", f"{token.rpartition('.')[0]}.{signature}"
            yield "forged", self._token(self._stranger, headers={"kid": f"{number}"})


def conduct(run: Run, verdicts: judge.Judge, events: Sequence[Event], seconds: float) -> None:
    """Let it all happen."""
    due, waiting = deque(events), deque[list[Response]]()
    began_at, is_over = time.monotonic(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(run.probe, is_over)
        try:
            while time.monotonic() < began_at + seconds:
                waiting.append(run.step(due, began_at))
                # The probes of that time have ended.
                if len(waiting) > SECONDS_PER_PROBE / SECONDS_PER_STEP + 1:
                    verdicts.judge(waiting.popleft())
                    run.history.forget(time.time() - 60)
            time.sleep(SECONDS_PER_PROBE + judge.PROBE_INTERVAL)
        finally:
            is_over.set()
    while waiting:
        verdicts.judge(waiting.popleft())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--write", action="store_true", help="write the tables of the docs, too")
    arguments = parser.parse_args()
    minutes, seed = arguments.minutes, arguments.seed
    print(f"{minutes:g} minutes of faults, --seed {seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    events = plan(seed, minutes * 60)
    with ExitStack() as stack:
        run = Run(stack)
        verdicts = judge.Judge(run.history)
        conduct(run, verdicts, events, minutes * 60)
    begun = Counter(f"{each.subject} {each.name}" for each in events if each.begins)
    tables = (
        markdown(("responses", "number"), sorted(verdicts.counts.items())),
        markdown(("valid tokens, not 200", "number"), verdicts.explained.most_common()),
        f"Faults: {'; '.join(f'{number} of {name}' for name, number in sorted(begun.items()))}.",
        f"`python benchmarks/chaos.py {minutes:g} --seed {seed}` on {machine()}.",
    )
    print("\n\n".join(tables))
    if arguments.write:
        PAGE.write_text("\n\n".join(tables) + "\n")
    if any(verdicts.counts[rule] for rule in judge.MUST_BE_0):
        sys.exit("A rule was violated.")


if __name__ == "__main__":
    main()
