"""Stand-ins for time, issuer and cache, which a test moves, and a deployment made of them."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys.clock import Clock
from jwtauth.keys.fetch import Document, FetchError
from jwtauth.keys.shared_cache import SharedKeys
from jwtauth.keys.snapshot import Lifetimes
from jwtauth.keys.source import KeySource
from jwtauth.testing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.core.cache.backends.base import BaseCache

T = TypeVar("T")

ISSUER = "https://issuer.test"
UNKNOWN = SigningKey.generate("EdDSA", "nobody-has-it")
WAIT = 10
"""Seconds after which something that should have happened at once counts as missing."""


class ManualClock(Clock):
    """Time stands still until a test moves it; who sleeps moves it too."""

    def __init__(self) -> None:
        self.passed = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.passed += seconds

    def monotonic(self) -> float:
        # Like the real ones: two clocks that have nothing in common.
        return 5000 + self.passed

    def time(self) -> float:
        return 1_000_000_000 + self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds


class ScriptedIssuer:
    """A fetcher whose issuer serves ``keys``, or fails, as a test says.

    ``text`` replaces the JWKS, ``failure`` is the reason for which it cannot be asked, ``seconds``
    is how long an answer takes. While ``gate`` is closed, fetches wait.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.keys: list[SigningKey] = [SigningKey.generate()]
        self.text: str | None = None
        self.failure: str | None = None
        self.seconds = 0.0
        self.etag: str | None = None
        self.gate = threading.Event()
        self.gate.set()
        self._asked = threading.Condition()
        self.times: list[float] = []
        self.etags_sent: list[str | None] = []
        self.before: Callable[[], None] = lambda: None

    @property
    def fetches(self) -> int:
        """How often it was asked."""
        return len(self.times)

    def rotate(self) -> SigningKey:
        """A new key in place of all others."""
        self.keys = [SigningKey.generate()]
        return self.keys[0]

    def wait_for_fetches(self, number: int) -> None:
        """Return when it has been asked so often."""
        with self._asked:
            assert self._asked.wait_for(lambda: self.fetches >= number, WAIT)

    def fetch(self, etag: str | None, timeout: float) -> Document | None:
        with self._asked:
            self.times.append(self._clock.passed)
            self.etags_sent.append(etag)
            self._asked.notify_all()
        self.before()
        assert self.gate.wait(WAIT), "nobody opened the gate"
        self._clock.advance(min(self.seconds, timeout))
        if self.failure is not None:
            raise FetchError(self.failure)
        if etag is not None and etag == self.etag and self.text is None:
            return None
        text = jwks(*self.keys) if self.text is None else self.text
        return Document(text, self.etag)


class MemoryCache:
    """A Django cache in memory, whose entries age by the test's clock.

    ``before`` is called with the name of each operation, and may raise or wait; ``lies`` replaces
    what operations do.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.entries: dict[str, tuple[Any, float]] = {}
        self.calls: list[str] = []
        self.before: Callable[[str], None] = lambda _: None
        self.lies: dict[str, Callable[..., Any]] = {}

    def get(self, key: str) -> Any:
        def get() -> Any:
            value, ends_at = self.entries.get(key, (None, 0))
            return value if self._clock.passed < ends_at else None

        return self._do("get", get, key)

    def set(self, key: str, value: Any, timeout: float) -> None:
        def put() -> None:
            self.entries[key] = value, self._clock.passed + timeout

        self._do("set", put, key, value, timeout)

    def add(self, key: str, value: Any, timeout: float) -> bool:
        def add() -> bool:
            if self._clock.passed < self.entries.get(key, (None, 0))[1]:
                return False
            self.entries[key] = value, self._clock.passed + timeout
            return True

        added: bool = self._do("add", add, key, value, timeout)
        return added

    def delete(self, key: str) -> None:
        self._do("delete", lambda: self.entries.pop(key, None), key)

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()

    def named(self, name: str) -> str | None:
        """The key of the entry that ends with this name."""
        return next((key for key in self.entries if key.endswith(f":{name}")), None)

    def fail(self) -> None:
        """Raise from now on."""
        self.before = _refuse

    def _do(self, operation: str, usual: Callable[[], Any], *arguments: Any) -> Any:
        self.calls.append(operation)
        self.before(operation)
        if operation in self.lies:
            return self.lies[operation](*arguments)
        return usual()


def _refuse(_operation: str) -> None:
    raise ConnectionError("the cache is away")


class MemoryKeys(SharedKeys):
    """The real thing, but for the cache that it talks to."""

    def __init__(self, cache: MemoryCache, clock: ManualClock, issuer: str = ISSUER) -> None:
        super().__init__("default", issuer, f"{issuer}/jwks", clock=clock)
        self._cache: Any = cache

    def _with_cache(self, operation: Callable[[BaseCache], T]) -> T:
        return operation(self._cache)


class Later:
    """Background work that waits until a test runs it."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []

    def __call__(self, work: Callable[[], None]) -> None:
        self.work.append(work)

    def run(self) -> None:
        """Do what was put off, in this thread."""
        while self.work:
            self.work.pop(0)()


def at_once(work: Callable[[], None]) -> None:
    """Background work that is over before anybody could wait for it."""
    work()


class Deployment:
    """One issuer and one cache, and the processes that know both."""

    def __init__(self, **lifetimes: float) -> None:
        self.clock = ManualClock()
        self.issuer = ScriptedIssuer(self.clock)
        self.cache = MemoryCache(self.clock)
        self.lifetimes = Lifetimes(**lifetimes)

    def process(
        self,
        *,
        spawn: Callable[[Callable[[], None]], None] = at_once,
        cache: MemoryCache | None = None,
        fetcher: Any = None,
    ) -> KeySource:
        """A process that has just started."""
        return KeySource(
            ISSUER,
            fetcher or self.issuer,
            MemoryKeys(cache or self.cache, self.clock),
            self.lifetimes,
            clock=self.clock,
            spawn=spawn,
        )

    def warm_process(self, *, spawn: Callable[[Callable[[], None]], None] = at_once) -> KeySource:
        """A process that has the keys of the issuer."""
        source = self.process(spawn=spawn)
        if isinstance(spawn, Later):
            source._launch(lambda _: True)
            spawn.run()
        source.current()
        return source


def unavailable(source: KeySource, key: SigningKey = UNKNOWN) -> int:
    """The seconds after which a token may return whose key could not be looked up."""
    with pytest.raises(KeysUnavailable) as error:
        find(source, key)
    return error.value.retry_after


def new_key_after_a_failure(deployment: Deployment, source: KeySource) -> SigningKey:
    """One that the issuer has when it is back; while it was away, a token asked for another."""
    deployment.issuer.failure = "it is away"
    unavailable(source)
    deployment.issuer.failure = None
    return deployment.issuer.rotate()


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when it holds: for what other processes do, which set no event here."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def jwks(*keys: SigningKey) -> str:
    """The JWK Set of these keys, as text."""
    return json.dumps({"keys": [key.public_jwk() for key in keys]})


def kids(source: KeySource) -> set[str | None]:
    """The ids of the keys that requests are judged by now."""
    return {key.kid for key in source.current()}


def find(source: KeySource, key: SigningKey) -> bool:
    """Whether a token of this key finds it: what a verifier does, but for the signature."""
    return bool(
        source.current().select(key.kid, key.algorithm) or source.find(key.kid, key.algorithm)
    )
