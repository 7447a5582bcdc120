"""What runs in a worker process: an API with our app, and the same job done by PyJWT."""

from __future__ import annotations

import logging
import os
import random
import resource
import secrets
import signal
import threading
import time
import timeit
from abc import abstractmethod
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import django
import jwt
from django.conf import settings
from django.core.signals import setting_changed
from django.test import RequestFactory

from jwtauth import verification
from jwtauth.keys.fetch import FetchError, JWKSFetcher
from jwtauth.tokens import base64url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

PATIENCE: Final = 60
LONG: Final = 0.25
"""Seconds that a request takes only where it waits: half of what a slow issuer takes here."""


@dataclass(slots=True)
class Tally:
    """The answers of some requests: how many of each status, and how long they took."""

    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    seconds: list[float] = field(default_factory=list)
    cooling: list[float] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)
    accepted_at: float = 0

    @property
    def requests(self) -> int:
        """How many there were."""
        return self.statuses.total()

    @property
    def refused(self) -> int:
        """How many were not answered with 200."""
        return self.requests - self.statuses[200]

    @property
    def long(self) -> int:
        """How many must have waited for somebody."""
        return sum(seconds > LONG for seconds in self.seconds)

    @classmethod
    def total(cls, tallies: Sequence[Tally]) -> Tally:
        """All of them together."""
        found = cls()
        for each in tallies:
            found.statuses += each.statuses
            found.without_retry_after += each.without_retry_after
            found.seconds += each.seconds
            found.cooling += each.cooling
            found.refused_at += each.refused_at
            found.accepted_at = max(found.accepted_at, each.accepted_at)
        return found


def within(seconds: Sequence[float], share: float = 0.99) -> float:
    """The milliseconds within which this share of requests was answered."""
    ordered = sorted(seconds)
    return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]


class Backend(Protocol):
    """Something that lets a request with a token in, or does not."""

    @property
    @abstractmethod
    def is_cooling(self) -> bool:
        """Whether it will not ask the issuer now, since that failed a moment ago."""

    @abstractmethod
    def answer(self, token: str) -> tuple[int, bool]:
        """The status, and whether it is a 503 that does not say when to come back."""


class Ours:
    """``ProtectedView``, as Django calls it; remembered tokens are off unless asked for."""

    def __init__(self, issuer: str, jwks_url: str, **options: Any) -> None:
        from jwtauth.views import ProtectedView  # noqa: PLC0415 - it wants settings.

        settings.JWTAUTH = {
            "ISSUER": issuer,
            "JWKS_URL": jwks_url,
            "TOKEN_CACHE_SIZE": 0,
            **options,
        }
        setting_changed.send(type(self), setting="JWTAUTH", value=None, enter=True)
        self._view = ProtectedView.as_view()
        self._factory = RequestFactory()
        self.issuer = issuer
        self._state = verification.key_source_of(issuer)._state  # noqa: SLF001

    @property
    def is_cooling(self) -> bool:
        return self._state.seconds_until_try() > 0

    def answer(self, token: str) -> tuple[int, bool]:
        request = self._factory.get("/", headers={"Authorization": f"Bearer {token}"})
        try:
            response = self._view(request)
        except Exception:  # noqa: BLE001 - what Django would answer with 500.
            return 500, False
        is_without = response.status_code == 503 and int(response.get("Retry-After") or 0) < 1
        return response.status_code, is_without


class PyJWT:
    """``PyJWKClient`` with the same lifetimes; what it raises says which status would fit."""

    def __init__(
        self, issuer: str, jwks_url: str, *, ttl: float, cooldown: float, timeout: float
    ) -> None:
        self.issuer = issuer
        self.client = jwt.PyJWKClient(
            jwks_url, lifespan=ttl, timeout=timeout, cooldown_duration=cooldown
        )

    @property
    def is_cooling(self) -> bool:
        return False

    def answer(self, token: str) -> tuple[int, bool]:
        try:
            key = self.client.get_signing_key_from_jwt(token)
            jwt.decode(token, key, algorithms=["EdDSA", "RS256"], issuer=self.issuer)
        except jwt.exceptions.PyJWKClientConnectionError:
            return 503, True
        except jwt.exceptions.PyJWTError:
            return 401, False
        except Exception:  # noqa: BLE001 - what Django would answer with 500.
            return 500, False
        return 200, False


class Jobs:
    """What a worker can be told to do; the results are sent back."""

    def __init__(self) -> None:
        self._backend: Backend

    def configure(self, peer: bool, issuer: str, jwks_url: str, **options: Any) -> None:  # noqa: FBT001 - sent through a pipe.
        """A backend that has seen nothing yet."""
        kind = PyJWT if peer else Ours
        self._backend = kind(issuer, jwks_url, **options)

    def serve(self, token: str) -> int:
        """Answer one request."""
        return self._backend.answer(token)[0]

    def burst(self, tokens: Sequence[str], starts_at: float) -> Tally:
        """Answer all of these at the same moment, each in a thread of its own."""
        barrier = threading.Barrier(len(tokens) + 1)

        def one(token: str) -> Tally:
            tally = Tally()
            barrier.wait(PATIENCE)
            _serve(self._backend, token, tally)
            return tally

        with ThreadPoolExecutor(len(tokens)) as pool:
            answers = [pool.submit(one, token) for token in tokens]
            time.sleep(max(0.0, starts_at - time.time()))
            barrier.wait(PATIENCE)
            return Tally.total([answer.result(PATIENCE) for answer in answers])

    def traffic(  # noqa: PLR0913 - sent through a pipe.
        self,
        *,
        tokens: Sequence[str],
        seconds: float,
        threads: int,
        pause: float,
        flood: int = 0,
        harmless: bool = False,
        most: int = 10**9,
    ) -> tuple[Tally, Tally]:
        """Answer good tokens for so long, and meanwhile so many that name unknown keys.

        Each thread takes a pause between two requests, and answers no more than ``most``. Where
        the flood is ``harmless`` its tokens are good ones, to see what it costs by itself.
        """
        ends_at = time.monotonic() + seconds

        def good() -> Tally:
            tally = Tally()
            ours = random.sample(tokens, len(tokens))
            while time.monotonic() < ends_at and tally.requests < most:
                _serve(self._backend, ours[tally.requests % len(ours)], tally)
                time.sleep(pause)
            return tally

        def bad() -> Tally:
            tally = Tally()
            began_at = time.monotonic()
            for number in range(flood):
                due = began_at + seconds * number / flood
                time.sleep(max(0.0, due - time.monotonic()))
                if time.monotonic() > ends_at:
                    break
                token = random.choice(tokens)
                _serve(self._backend, token if harmless else with_unknown_key(token), tally)
            return tally

        with ThreadPoolExecutor(threads + 1) as pool:
            flooding = pool.submit(bad)
            serving = [pool.submit(good) for _ in range(threads)]
            total = Tally.total([each.result(PATIENCE + seconds) for each in serving])
            return total, flooding.result(PATIENCE + seconds)

    def fetch(self, jwks_url: str, timeout: float) -> tuple[float, float]:
        """Fetch once, in vain: the seconds that took, and the megabytes the process grew by."""
        before = _peak()
        began_at = time.monotonic()
        if isinstance(self._backend, PyJWT):
            with suppress(jwt.exceptions.PyJWTError):
                self._backend.client.fetch_data()
        else:
            fetcher = JWKSFetcher("", jwks_url=jwks_url, discovery_url=None, allow_plain_http=False)
            with suppress(FetchError):
                fetcher.fetch(None, timeout)
        return time.monotonic() - began_at, _peak() - before

    def find_key(self, kid: str) -> float:
        """The microseconds that finding the key of a fresh snapshot takes."""
        if isinstance(self._backend, PyJWT):
            client = self._backend.client
            call: Callable[[], object] = lambda: client.get_signing_key(kid)  # noqa: E731
        else:
            source = verification.key_source_of(self._backend.issuer)  # type: ignore[attr-defined]
            call = lambda: source.current().select(kid, "EdDSA")  # noqa: E731
        number = 20_000
        return min(timeit.repeat(call, number=number, repeat=7)) / number * 1e6

    def fork(self, issuer: str, token: str, children: int) -> tuple[int, int, float]:
        """Fork that often while a refresh runs: the children that hung, failed, and the time."""
        source = verification.key_source_of(issuer)
        source._launch(lambda _: False)  # noqa: SLF001 - what a due refresh does.
        hung = failed = 0
        began_at = time.monotonic()
        for _ in range(children):
            child = os.fork()
            if not child:
                signal.alarm(10)
                os._exit(self._backend.answer(token)[0] != 200)
            _, status = os.waitpid(child, 0)
            hung += os.WIFSIGNALED(status)
            failed += not os.WIFSIGNALED(status) and status != 0
        is_running = source._flights.current is not None  # noqa: SLF001
        assert is_running, "the refresh was over before the last fork"
        return hung, failed, time.monotonic() - began_at

    def age(self, issuer: str) -> float:
        """The seconds since the keys of this process were fetched."""
        age = verification.key_source_of(issuer).status().age
        assert age is not None
        return age


def _serve(backend: Backend, token: str, tally: Tally) -> None:
    is_cooling = backend.is_cooling
    began_at = time.perf_counter()
    status, is_without_retry_after = backend.answer(token)
    tally.seconds.append(time.perf_counter() - began_at)
    if is_cooling:
        tally.cooling.append(tally.seconds[-1])
    tally.statuses[status] += 1
    tally.without_retry_after += is_without_retry_after
    if status == 200:
        tally.accepted_at = time.time()
    else:
        tally.refused_at.append(time.time())


def with_unknown_key(token: str) -> str:
    """The token under a key id that nobody has, another one each time."""
    header = f'{{"alg":"EdDSA","kid":"{secrets.token_hex(12)}","typ":"JWT"}}'
    return f"{base64url.encode(header.encode()).decode()}.{token.partition('.')[2]}"


def _peak() -> float:
    """The most memory that this process ever took, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def work(connection: Connection, redis: str) -> None:
    """Do the jobs that come through the pipe, until it is closed."""
    cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis}
    settings.configure(
        INSTALLED_APPS=["rest_framework", "jwtauth"],
        REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
        CACHES={"default": cache},
        LOGGING_CONFIG=None,
    )
    django.setup()
    logging.getLogger("jwtauth").addHandler(logging.NullHandler())
    logging.getLogger("django.request").addHandler(logging.NullHandler())
    jobs = Jobs()
    connection.send(None)
    while True:
        try:
            name, arguments = connection.recv()
        except EOFError:
            return
        try:
            connection.send(getattr(jobs, name)(**arguments))
        except Exception as error:  # noqa: BLE001 - raised again where it was asked for.
            connection.send(error)
