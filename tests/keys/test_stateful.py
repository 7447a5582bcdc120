"""Any history of an issuer, a cache, three processes and their requests keeps the promises."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys.fetch import JWKSFetcher
from jwtauth.keys.local import LocalKeys
from jwtauth.keys.refresh import Refresher
from jwtauth.keys.source import KeySource
from jwtauth.keys.state import CachePolicy, KeyState
from jwtauth.testing import SigningKey
from jwtauth.tokens.trusted_issuer import KeySearch

from .doubles import (
    ISSUER,
    CachingProxy,
    ManualClock,
    MemoryCache,
    MemoryJWKSCache,
    ScriptedIssuer,
    at_once,
    find,
)

if TYPE_CHECKING:
    from jwtauth.keys.fetch import Document
    from jwtauth.tokens.jwks import KeySet

POLICY = CachePolicy(ttl=600, stale_ttl=7200, cooldown=10, timeout=5)
TTL, STALE_TTL, COOLDOWN, TIMEOUT = 600, 7200, 10, 5
SKEW = 50
"""Seconds that the wall clocks of two of the hosts are off, one ahead and one behind."""
MAX_AGE = 60
EPSILON = 1e-3
"""Sums of floating-point numbers differ by less, whatever order they are added in."""

processes = st.integers(0, 2)
key_numbers = st.integers(0, 3)


@dataclass(slots=True)
class Fetch:
    """A fetch by one process: when, why and with which result."""

    began_at: float
    process: KeySource
    is_asked: bool
    answered_at: float = 0
    succeeded: bool = False


class RecordingFetcher(JWKSFetcher):
    """The fetcher of one process."""

    def __init__(self, fetcher: Any, clock: ManualClock, log: list[Fetch]) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._log = log
        self._call: object = None
        self._is_asking = False
        self.process: Any = None

    def ask(self, keys: KeySet | None, arrived_at: float) -> None:
        """Do what the process does for an unknown key."""
        self._is_asking = True
        Refresher.ask(self.process._refresher, keys, arrived_at)
        self._is_asking = False

    def fetch(
        self, timeout: float, *, text_in_use: str | None = None, no_cache: bool = False
    ) -> Document:
        # A second fetch in the same call asks again what a cache on the way answered.
        if self._call is not self.process._single_flight.current:
            self._log.append(Fetch(self._clock.passed, self.process, self._is_asking))
        self._call = self.process._single_flight.current
        document: Document = self._fetcher.fetch(
            timeout, text_in_use=text_in_use, no_cache=no_cache
        )
        self._log[-1].answered_at = self._clock.passed
        self._log[-1].succeeded = document.text.startswith('{"keys": [{')
        return document


def _backoff(fetches: list[Fetch]) -> float:
    """The number of seconds that the failures at the end of these ask for."""
    failures = list(takewhile(lambda each: not each.succeeded, reversed(fetches)))
    # A failure is remembered for as long as keys are.
    gaps = (later.began_at - earlier.began_at for later, earlier in pairwise(failures))
    in_a_row = 1 + len(list(takewhile(lambda gap: gap < TTL + STALE_TTL, gaps)))
    return float(min(2 ** (in_a_row - 1), COOLDOWN))


class KeysOverTime(RuleBasedStateMachine):
    """Drives everything that a key source depends on, and compares what requests get."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.issuer = ScriptedIssuer(self.clock)
        self.cache = MemoryCache(self.clock)
        self.log: list[Fetch] = []
        self.checked = 0
        self.processes: list[KeySource] = []
        self.local = LocalKeys(ISSUER, self._published_jwks)
        self.published_since: dict[SigningKey, float] = {}
        self.removed_at: dict[SigningKey, float] = {}
        # Since when the issuer answers with its keys, and the cache keeps all that it is given.
        self.answering_since: float | None = 0.0
        self.keeping_since: float | None = 0.0
        self.last_upset = 0.0

    @initialize(with_kid=st.booleans(), is_cached=st.booleans(), is_skewed=st.booleans())
    def begin(self, *, with_kid: bool, is_cached: bool, is_skewed: bool) -> None:
        kids = [f"key-{number}" if with_kid else None for number in range(5)]
        *self.keys, self.forged = (SigningKey.generate("EdDSA", kid) for kid in kids)
        self.skews = (0, SKEW, -SKEW) if is_skewed else (0, 0, 0)
        self.fetcher: Any = self.issuer
        if is_cached:
            self.fetcher = CachingProxy(self.issuer, self.clock, MAX_AGE)
        self._publish(self.keys[:1])
        self.processes = [self._process(number) for number in range(3)]

    @rule(seconds=st.sampled_from([0.01, 1, 5, 9, 11, 60, 541, 600, 3000, 7200, 7800]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(fault=st.sampled_from(["unreachable", '{"keys": []}', "<html>"]))
    def issuer_fails(self, fault: str) -> None:
        self.issuer.failure = fault if fault == "unreachable" else None
        self.issuer.text = None if fault == "unreachable" else fault
        self.answering_since = None

    @rule()
    def issuer_recovers(self) -> None:
        self.issuer.failure = self.issuer.text = None
        if self.answering_since is None:
            self.answering_since = self.clock.passed

    @rule(seconds=st.sampled_from([0, 0.3, 4.9]))
    def issuer_takes_its_time(self, seconds: float) -> None:
        self.issuer.seconds = seconds

    @rule(numbers=st.lists(key_numbers, min_size=1, max_size=3, unique=True))
    def issuer_changes_its_keys(self, numbers: list[int]) -> None:
        self._publish([self.keys[number] for number in numbers])

    @rule()
    def cache_fails(self) -> None:
        self.cache.fail()
        self.keeping_since, self.last_upset = None, self.clock.passed

    @rule()
    def cache_recovers(self) -> None:
        self.cache.recover()
        if self.keeping_since is None:
            self.keeping_since = self.last_upset = self.clock.passed

    @rule()
    def cache_is_cleared(self) -> None:
        self.cache.clear()
        self.last_upset = self.clock.passed
        if self.keeping_since is not None:
            self.keeping_since = self.clock.passed

    @rule()
    def process_dies_while_it_fetches(self) -> None:
        MemoryJWKSCache(self.cache).acquire_lease(TIMEOUT)

    @rule(number=processes)
    def process_is_replaced(self, number: int) -> None:
        self.processes[number] = self._process(number)

    @rule(number=processes)
    def bad_signature_comes(self, number: int) -> None:
        self.processes[number].report_bad_signature()

    @rule(number=processes, key_number=st.integers(0, 4))
    def request_comes(self, number: int, key_number: int) -> None:
        self._request(number, self._key(key_number))

    @rule(number=processes)
    def operator_refreshes(self, number: int) -> None:
        # It may fetch at any time, which the rules for other fetches do not cover.
        self.processes[number].refresh()
        self.last_upset = self.clock.passed

    @rule(
        key_number=st.integers(0, 4),
        rounds=st.integers(2, 8),
        pause=st.sampled_from([0.3, 1, 4, 20]),
    )
    def traffic_goes_on(self, key_number: int, rounds: int, pause: float) -> None:
        for _ in range(rounds):
            for number in range(3):
                self._request(number, self._key(key_number))
            self.clock.advance(pause)

    @rule(key_number=key_numbers, rounds=st.integers(2, 5), number=processes)
    def attacker_uses_up_each_cooldown(self, key_number: int, rounds: int, number: int) -> None:
        for _ in range(rounds):
            self._request(number, self.forged)
            self._request(number, self._key(key_number))
            self.clock.advance(COOLDOWN)

    def _key(self, number: int) -> SigningKey:
        return [*self.keys, self.forged][number]

    def _request(self, number: int, key: SigningKey) -> None:
        process = self.processes[number]
        snapshot = process._state.snapshot
        was_known = snapshot is not None and find(_Fixed(snapshot.keys), key)
        began_at = self.clock.passed
        try:
            is_accepted = find(process, key)
        except KeysUnavailable:
            self._check_that_it_could_not_be_known(began_at)
            is_accepted = False
        else:
            if is_accepted:
                self._check_that_it_was_not_removed_long_ago(key, began_at)
                age = process.status().age
                assert age is not None
                assert age < TTL + STALE_TTL + EPSILON
            else:
                self._check_the_evidence(key, began_at)
        if self.answering_since is not None:
            assert find(self.local, key) == self._is_published(key)
        if not was_known or snapshot is None:
            return
        age = self.clock.monotonic() - snapshot.fetched_at
        stays = self._is_published(key)
        stays = stays and self.published_since[key] <= self.clock.passed - age - EPSILON
        failure = process._state.failure
        is_withdrawn = age >= TTL - EPSILON and failure is not None and failure.answered
        if stays and age < TTL + STALE_TTL - EPSILON and not is_withdrawn:
            assert is_accepted, "a key that this process knows was rejected"

    @invariant()
    def fetches_keep_to_the_rules(self) -> None:
        """Between a fetch and the next one lie so many seconds.

        After the nth failure in a row: 1, 2, 4 … up to the cooldown. Between the answer to an asked
        fetch and the next asked one: the cooldown. Between ordinary ones: the age from which keys
        are refreshed.

        It holds for all processes together while the cache keeps what it is given, and for each
        process by itself whatever the cache does, with 1 s after a failure.
        """
        for index in range(max(self.checked, 1), len(self.log)):
            fetch, earlier = self.log[index], self.log[:index]
            if self.keeping_since is not None:
                remembered = [each for each in earlier if each.began_at > self.last_upset]
                self._check_gaps(remembered, fetch, _backoff(remembered))
            own = [each for each in earlier if each.process is fetch.process]
            self._check_gaps([each for each in own if each.began_at > self.last_upset], fetch, 1)
        self.checked = len(self.log)

    def _check_gaps(self, earlier: list[Fetch], fetch: Fetch, backoff: float) -> None:
        if earlier and not earlier[-1].succeeded:
            assert fetch.began_at - earlier[-1].began_at >= backoff - EPSILON
        same = [each for each in earlier if each.is_asked == fetch.is_asked and each.succeeded]
        if same and fetch.is_asked:
            assert fetch.began_at - same[-1].answered_at >= COOLDOWN - EPSILON
        elif same and earlier[-1].succeeded:
            skew = max(self.skews) - min(self.skews)
            # A cached answer is as old as its Age says.
            cached = MAX_AGE if self.fetcher is not self.issuer else 0
            least = POLICY.ahead - skew - cached - EPSILON
            assert fetch.began_at - same[-1].began_at >= least

    def _check_the_evidence(self, key: SigningKey, began_at: float) -> None:
        """Unknown is only what an asked fetch of the last cooldown lacks."""
        assert any(
            fetch.is_asked
            and fetch.succeeded
            and fetch.answered_at >= began_at - COOLDOWN - EPSILON
            # Had the key been published by then, it would be in the answer.
            and self.published_since.get(key, fetch.began_at) >= fetch.began_at - EPSILON
            for fetch in self.log
        ), "rejected without evidence"

    def _check_that_it_was_not_removed_long_ago(self, key: SigningKey, began_at: float) -> None:
        """A key counts for T + D after its removal, as long as the issuer answers."""
        assert key is not self.forged
        if self._is_published(key) or self.answering_since is None:
            return
        removed_at = max(self.removed_at[key], self.answering_since)
        # A host whose clock is behind counts the age of a document from when it first saw it.
        slack = min(TTL, max(self.skews) - min(self.skews))
        assert began_at <= removed_at + TTL + TIMEOUT + slack + EPSILON

    def _check_that_it_could_not_be_known(self, began_at: float) -> None:
        """It takes no longer than a cooldown until an issuer that answers is asked again."""
        calm_since = (self.answering_since, self.keeping_since)
        assert None in calm_since or began_at <= max(calm_since) + COOLDOWN + TIMEOUT + 3  # type: ignore[type-var, operator]

    def _is_published(self, key: SigningKey) -> bool:
        return key in self.published_since

    def _published_jwks(self) -> dict[str, Any]:
        return {"keys": [key.public_jwk() for key in self.issuer.keys]}

    def _publish(self, published: list[SigningKey]) -> None:
        now = self.clock.passed
        for key in self.keys:
            if key in published:
                self.published_since.setdefault(key, now)
            elif self.published_since.pop(key, None) is not None:
                self.removed_at[key] = now
        self.issuer.keys = published

    def _process(self, number: int) -> KeySource:
        clock = ManualClock(self.clock, self.skews[number])
        shared = MemoryJWKSCache(self.cache, policy=POLICY)
        fetcher = RecordingFetcher(self.fetcher, clock, self.log)
        source = KeySource(KeyState(ISSUER, POLICY, clock), fetcher, shared, at_once)
        fetcher.process = source
        source._refresher.ask = fetcher.ask  # type: ignore[method-assign]
        return source


class _Fixed:
    """A key set that nobody refreshes."""

    def __init__(self, keys: Any) -> None:
        self._keys = keys

    def start_search(self) -> Any:
        return KeySearch(0)

    def current(self, _search: Any) -> Any:
        return self._keys

    def confirm_unknown(self, keys: Any, _search: Any) -> Any:
        return keys

    def report_bad_signature(self) -> None:
        pass


TestKeysOverTime = KeysOverTime.TestCase
TestKeysOverTime.settings = settings(
    max_examples=100,
    stateful_step_count=50,
    deadline=None,
    # A failure that is replayed would hide whether it still is one.
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
