"""Stand-ins for time, issuer and cache, which a test moves, and a deployment made of them."""

from __future__ import annotations

import json
import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.keys.fetch import Document, FetchError, JWKSFetcher
from jwtauth.keys.shared_cache import JWKSCache
from jwtauth.keys.source import KeySource
from jwtauth.keys.state import CachePolicy, Clock, KeyState
from jwtauth.testing import SigningKey
from jwtauth.tokens.claims import ClaimsPolicy
from jwtauth.tokens.header import Header
from jwtauth.tokens.jwks import KeySet
from jwtauth.tokens.trusted_issuer import KeyProvider, KeySearch, TrustedIssuer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.core.cache.backends.base import BaseCache

T = TypeVar("T")

ISSUER = "https://issuer.test"
_MESSAGE = b"header.payload"
UNPUBLISHED = SigningKey.generate("EdDSA")
DEFAULTS = CachePolicy()
WAIT = 25
"""Seconds after which something that should have happened at once counts as missing."""


class ManualClock(Clock):
    """Time stands still until a test moves it; whoever sleeps moves it too.

    ``ahead`` is how far this host's wall clock is ahead of others; ``base`` shares its time.
    """

    def __init__(self, base: ManualClock | None = None, ahead: float = 0) -> None:
        self._base = base or self
        self._ahead = ahead
        self._passed = 0.0

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return self._base._passed

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._base._passed += seconds

    def monotonic(self) -> float:
        # Two clocks that have nothing in common, as in reality.
        return 5000 + self.passed

    def time(self) -> float:
        return 1_000_000_000 + self.passed + self._ahead

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)


class ScriptedIssuer(JWKSFetcher):
    """A fetcher whose issuer publishes ``keys``, or fails, as a test says.

    ``text`` replaces the JWKS, ``failure`` is the reason for which it cannot be asked, ``seconds``
    is how long an answer takes, ``age`` is that of a cached answer. While ``gate`` is closed,
    fetches wait.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.keys: list[SigningKey] = [SigningKey.generate("EdDSA")]
        self.text: str | None = None
        self.failure: str | None = None
        self.seconds = 0.0
        self.age = 0.0
        self.gate = threading.Event()
        self.gate.set()
        self._asked = threading.Condition()
        self.times: list[float] = []
        self.in_use: list[str | None] = []
        self.no_cache: list[bool] = []
        self.before: Callable[[], None] = lambda: None

    @property
    def fetches(self) -> int:
        """How often it was asked."""
        return len(self.times)

    def rotate(self) -> SigningKey:
        """Publish a new key in place of all others."""
        self.keys = [SigningKey.generate("EdDSA")]
        return self.keys[0]

    def wait_for_fetches(self, number: int) -> None:
        """Return when it has been asked so often."""
        with self._asked:
            assert self._asked.wait_for(lambda: self.fetches >= number, WAIT)

    def fetch(
        self, timeout: float, *, text_in_use: str | None = None, no_cache: bool = False
    ) -> Document:
        with self._asked:
            self.times.append(self._clock.passed)
            self.in_use.append(text_in_use)
            self.no_cache.append(no_cache)
            self._asked.notify_all()
        self.before()
        assert self.gate.wait(WAIT), "nobody opened the gate"
        self._clock.advance(min(self.seconds, timeout))
        if self.failure is not None or self.seconds > timeout:
            raise FetchError(self.failure or "no complete answer in time")
        text = jwks(self.keys) if self.text is None else self.text
        return Document(text, self.age, unchanged=text == text_in_use)


class CachingProxy(JWKSFetcher):
    """A fetcher behind a cache that keeps an answer for ``max_age`` seconds."""

    def __init__(self, issuer: ScriptedIssuer, clock: ManualClock, max_age: float) -> None:
        self._issuer = issuer
        self._clock = clock
        self._max_age = max_age
        self._stored: tuple[str, float] | None = None

    def fetch(
        self, timeout: float, *, text_in_use: str | None = None, no_cache: bool = False
    ) -> Document:
        if self._stored is not None and not no_cache:
            text, stored_at = self._stored
            age = self._clock.passed - stored_at
            if age < self._max_age:
                return Document(text, age, unchanged=text == text_in_use)
        document = self._issuer.fetch(timeout, text_in_use=text_in_use, no_cache=no_cache)
        self._stored = document.text, self._clock.passed
        return document


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
        return self._do("get", lambda: self._value(key), key)

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        def get_many() -> dict[str, Any]:
            found = {key: self._value(key) for key in keys}
            return {key: value for key, value in found.items() if value is not None}

        values: dict[str, Any] = self._do("get_many", get_many, keys)
        return values

    def set(self, key: str, value: Any, timeout: float) -> None:
        def put() -> None:
            self.entries[key] = value, self._clock.passed + timeout

        self._do("set", put, key, value, timeout)

    def add(self, key: str, value: Any, timeout: float) -> bool:
        def add() -> bool:
            if self._value(key) is not None:
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
        """Return the key of the entry that ends with this name."""
        return next((key for key in self.entries if key.endswith(f":{name}")), None)

    def fail(self, *operations: str) -> None:
        """Raise from now on, in these operations or in all."""

        def refuse(operation: str) -> None:
            if not operations or operation in operations:
                raise ConnectionError("the cache is unreachable")

        self.before = refuse

    def recover(self) -> None:
        """Work again."""
        self.before = lambda _: None

    def _value(self, key: str) -> Any:
        value, ends_at = self.entries.get(key, (None, 0))
        return value if self._clock.passed < ends_at else None

    def _do(self, operation: str, usual: Callable[[], Any], *arguments: Any) -> Any:
        self.calls.append(operation)
        self.before(operation)
        if operation in self.lies:
            return self.lies[operation](*arguments)
        return usual()


class MemoryJWKSCache(JWKSCache):
    """The real class on a cache in memory, without its worker: it may fail, but it never hangs."""

    def __init__(
        self, cache: MemoryCache, issuer: str = ISSUER, policy: CachePolicy = DEFAULTS
    ) -> None:
        super().__init__("default", issuer, f"{issuer}/jwks", policy)
        self._cache: Any = cache
        self._was_called = False

    @property
    def is_connected(self) -> bool:
        return self._was_called

    def _run(self, job: Callable[[BaseCache], T], otherwise: T, _action: str = "") -> T:
        self._was_called = True
        try:
            return job(self._cache)
        except ConnectionError:
            return otherwise


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


def no_thread(_work: Callable[[], None]) -> None:
    """Background work on a machine that cannot start a thread."""
    raise RuntimeError("can't start new thread")


class Deployment:
    """One issuer and one cache, and the processes that know both."""

    def __init__(self, **policy: float) -> None:
        self.clock = ManualClock()
        self.issuer = ScriptedIssuer(self.clock)
        self.cache = MemoryCache(self.clock)
        self.policy = CachePolicy(**policy)

    def process(
        self,
        *,
        spawn: Callable[[Callable[[], None]], None] = at_once,
        entries: MemoryCache | None = None,
        fetcher: Any = None,
        ahead: float = 0,
    ) -> KeySource:
        """A process that has just started, on a host whose clock is so many seconds ahead."""
        return KeySource(
            KeyState(ISSUER, self.policy, ManualClock(self.clock, ahead)),
            fetcher or self.issuer,
            MemoryJWKSCache(entries or self.cache, policy=self.policy),
            spawn,
        )

    def warm_process(self, *, spawn: Callable[[Callable[[], None]], None] = at_once) -> KeySource:
        """A process that has the keys of the issuer."""
        source = self.process(spawn=spawn)
        source.refresh()
        return source


def find(source: KeyProvider, key: SigningKey, search: KeySearch | None = None) -> bool:
    """Whether a token that this key signed is accepted, as far as keys are concerned.

    Raises ``KeysUnavailable``, and ``WouldBlock`` if the background work is still to be done.
    """
    issuer = TrustedIssuer(ISSUER, algorithms=["EdDSA"], claims=ClaimsPolicy(), keys=source)
    header = Header(key.algorithm, key.kid, None)
    try:
        issuer.find_signing_key(header, _MESSAGE, _signature(key), search)
    except TokenError:
        return False
    return True


@cache
def _signature(key: SigningKey) -> bytes:
    return key.sign(_MESSAGE, key.algorithm)


def unavailable(source: KeySource, key: SigningKey = UNPUBLISHED) -> int:
    """The seconds after which a token may return whose key could not be determined."""
    with pytest.raises(KeysUnavailable) as error:
        find(source, key)
    return error.value.retry_after


def ask(source: KeySource) -> None:
    """Have a token of an unknown key use up the asked fetch of this cooldown."""
    assert not find(source, UNPUBLISHED)


def new_key_after_a_failure(deployment: Deployment, source: KeySource) -> SigningKey:
    """One that the issuer publishes when it is back; meanwhile a token asked for another."""
    deployment.issuer.failure = "it is unreachable"
    unavailable(source)
    deployment.issuer.failure = None
    return deployment.issuer.rotate()


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when it holds: for what other processes do, which set no event here."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def jwks(keys: Iterable[SigningKey]) -> str:
    """The JWK Set of these keys, as text."""
    return json.dumps({"keys": [key.public_jwk() for key in keys]})


def uses(source: KeySource, *keys: SigningKey) -> bool:
    """Whether requests are verified with exactly these keys now."""
    wanted = KeySet({"keys": [key.public_jwk() for key in keys]})
    return set(source.current()) == set(wanted)
