"""Any history of an issuer, a cache, three processes and their requests keeps the promises."""

from __future__ import annotations

from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys.snapshot import Lifetimes
from jwtauth.keys.source import KeySource
from jwtauth.testing import SigningKey

from .doubles import ISSUER, ManualClock, MemoryCache, MemoryKeys, ScriptedIssuer, at_once, find

if TYPE_CHECKING:
    from collections.abc import Callable

    from jwtauth.keys.fetch import Document

T = TypeVar("T")

LIFETIMES = Lifetimes(ttl=600, stale_ttl=7200, cooldown=30, timeout=5)
TTL, STALE_TTL = LIFETIMES.ttl, LIFETIMES.stale_ttl
COOLDOWN, TIMEOUT = LIFETIMES.cooldown, LIFETIMES.timeout
KEYS = [SigningKey.generate("EdDSA", f"key-{number}") for number in range(4)]
NEVER_PUBLISHED = SigningKey.generate("EdDSA", "never")
ROUNDING = 1e-6

processes = st.integers(0, 2)
keys = st.sampled_from(KEYS)


class Fetch(NamedTuple):
    """A fetch: when it began, which process did it, whether a token was the cause, and success."""

    at: float
    process: KeySource
    caused_by_token: bool
    succeeded: bool


class Asking:
    """A fetcher of one process, which takes note of what it does."""

    def __init__(self, issuer: ScriptedIssuer, clock: ManualClock, log: list[Fetch]) -> None:
        self._issuer = issuer
        self._clock = clock
        self._log = log
        self.process: Any = None

    def fetch(self, etag: str | None, timeout: float) -> Document | None:
        at = self._clock.passed
        succeeded = self._issuer.failure is None and self._issuer.text is None
        # Nothing else is a reason to ask while the keys are fresh.
        caused_by_token = self.process.status().state == "fresh"
        self._log.append(Fetch(at, self.process, caused_by_token, succeeded))
        return self._issuer.fetch(etag, timeout)


class InlineKeys(MemoryKeys):
    """Without a thread for each call: this cache may fail, but it does not hang."""

    def _call(self, operation: Callable[[Any], T], otherwise: T) -> T:
        try:
            return operation(self._cache)
        except ConnectionError:
            return otherwise


def _backoff(fetches: list[Fetch]) -> float:
    """The number of seconds that the failures at the end of these ask for."""
    failures = list(takewhile(lambda each: not each.succeeded, reversed(fetches)))
    # Nobody remembers a failure for longer than keys.
    gaps = (later.at - earlier.at for later, earlier in pairwise(failures))
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
        self.published_since: dict[str, float] = {}
        self.removed_at: dict[str, float] = {}
        # Since when the issuer answers with its keys, and the cache keeps all that it is given.
        self.answering_since: float | None = 0.0
        self.keeping_since: float | None = 0.0
        self.last_upset = 0.0

    @initialize(etag=st.sampled_from([None, '"0"']))
    def begin(self, etag: str | None) -> None:
        self.issuer.etag = etag
        self._publish(KEYS[:1])
        self.processes = [self._process() for _ in range(3)]

    @rule(seconds=st.sampled_from([0.01, 1, 5, 29, 31, 60, 541, 600, 3000, 7200, 7800]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(fault=st.sampled_from(["it is away", '{"keys": []}', "<html>"]))
    def issuer_fails(self, fault: str) -> None:
        self.issuer.failure = fault if fault == "it is away" else None
        self.issuer.text = None if fault == "it is away" else fault
        self.answering_since = None

    @rule()
    def issuer_recovers(self) -> None:
        self.issuer.failure = self.issuer.text = None
        if self.answering_since is None:
            self.answering_since = self.clock.passed

    @rule(seconds=st.sampled_from([0, 0.3, 4.9]))
    def issuer_takes_its_time(self, seconds: float) -> None:
        self.issuer.seconds = seconds

    @rule(published=st.lists(keys, min_size=1, max_size=3, unique=True))
    def issuer_changes_its_keys(self, published: list[SigningKey]) -> None:
        self._publish(published)

    @rule()
    def cache_fails(self) -> None:
        self.cache.fail()
        self.keeping_since, self.last_upset = None, self.clock.passed

    @rule()
    def cache_recovers(self) -> None:
        self.cache.before = lambda _: None
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
        key = self.processes[0]._refresher._shared._key("lease")
        if self.keeping_since is not None:
            self.cache.add(key, "dead", TIMEOUT + 1)

    @rule(number=processes)
    def process_is_replaced(self, number: int) -> None:
        self.processes[number] = self._process()

    @rule(number=processes)
    def bad_signature_comes(self, number: int) -> None:
        self.processes[number].suspect()

    @rule(number=processes, key=st.sampled_from([*KEYS, NEVER_PUBLISHED]))
    def request_comes(self, number: int, key: SigningKey) -> None:
        self._request(number, key)

    @rule(
        key=st.sampled_from([*KEYS, NEVER_PUBLISHED]),
        rounds=st.integers(2, 8),
        pause=st.sampled_from([0.3, 1, 4, 20]),
    )
    def traffic_goes_on(self, key: SigningKey, rounds: int, pause: float) -> None:
        for _ in range(rounds):
            for number in range(3):
                self._request(number, key)
            self.clock.advance(pause)

    def _request(self, number: int, key: SigningKey) -> None:
        process = self.processes[number]
        snapshot = process._state.snapshot
        began_at = self.clock.passed
        try:
            is_accepted = find(process, key)
        except KeysUnavailable:
            self._check_that_it_could_not_be_known(began_at)
            is_good = False
        else:
            is_good = is_accepted
            if is_accepted:
                self._check_that_it_was_not_removed_long_ago(key, began_at)
                age = process.status().age
                assert age is not None
                assert age < TTL + STALE_TTL
            else:
                self._check_the_evidence(process, key, began_at)
        if snapshot is None or not snapshot.keys.select(key.kid, key.algorithm):
            return
        age = self.clock.monotonic() - snapshot.fetched_at
        fetched_at = self.clock.passed - age
        stays = self._is_published(key)
        stays = stays and self.published_since[key.kid] <= fetched_at + ROUNDING
        is_withdrawn = age >= TTL and process._state.failure is not None
        is_withdrawn = is_withdrawn and process._state.failure.answered  # type: ignore[union-attr]
        if stays and age < TTL + STALE_TTL and not is_withdrawn:
            assert is_good, "a key that this process knows was refused"

    @invariant()
    def fetches_keep_to_the_rules(self) -> None:
        """Between a fetch and the next one lie so many seconds.

        After a success: the cooldown, or the age from which keys are refreshed where that is less.
        After the nth failure in a row: 1, 2, 4 … up to the cooldown. Between two that tokens cause:
        the cooldown, less what the lease for the first may have been waited for.

        That holds for all processes together while the cache keeps what it is given. Whatever the
        cache does, it holds for each process by itself, with 1 s after a failure.
        """
        for index in range(max(self.checked, 1), len(self.log)):
            fetch, earlier = self.log[index], self.log[:index]
            if self.keeping_since is not None:
                remembered = [each for each in earlier if each.at > self.last_upset]
                self._check_gaps(remembered, fetch, backoff=_backoff(remembered), slack=TIMEOUT + 4)
            own = [each for each in earlier if each.process is fetch.process]
            self._check_gaps(own, fetch, backoff=1, slack=0)
        self.checked = len(self.log)

    def _check_gaps(
        self, earlier: list[Fetch], fetch: Fetch, *, backoff: float, slack: float
    ) -> None:
        caused = [each for each in earlier if each.caused_by_token and fetch.caused_by_token]
        for each in caused[-1:]:
            assert fetch.at - each.at >= COOLDOWN - slack - ROUNDING
        for each in earlier[-1:]:
            least = min(COOLDOWN, LIFETIMES.ahead) if each.succeeded else backoff
            assert fetch.at - each.at >= least - ROUNDING

    def _check_the_evidence(self, process: KeySource, key: SigningKey, began_at: float) -> None:
        """Unknown is only what a set lacks that was fetched within the cooldown."""
        snapshot = process._state.snapshot
        assert snapshot is not None
        fetched_at = self.clock.passed - (self.clock.monotonic() - snapshot.fetched_at)
        assert fetched_at >= began_at - COOLDOWN - ROUNDING
        # Had it been published by then, it would be in the set.
        assert self.published_since.get(key.kid, fetched_at) > fetched_at - ROUNDING

    def _check_that_it_was_not_removed_long_ago(self, key: SigningKey, began_at: float) -> None:
        """A key counts for T + D after its removal, as long as the issuer answers."""
        assert key is not NEVER_PUBLISHED
        if self._is_published(key) or self.answering_since is None:
            return
        removed_at = max(self.removed_at[key.kid], self.answering_since)
        assert began_at <= removed_at + TTL + TIMEOUT + ROUNDING

    def _check_that_it_could_not_be_known(self, began_at: float) -> None:
        """It takes no longer than a cooldown until an issuer that answers is asked again."""
        calm_since = (self.answering_since, self.keeping_since)
        assert None in calm_since or began_at <= max(calm_since) + COOLDOWN + TIMEOUT + 3  # type: ignore[type-var, operator]

    def _is_published(self, key: SigningKey) -> bool:
        return key.kid in self.published_since

    def _publish(self, published: list[SigningKey]) -> None:
        now = self.clock.passed
        for key in KEYS:
            if key in published:
                self.published_since.setdefault(key.kid, now)
            elif self.published_since.pop(key.kid, None) is not None:
                self.removed_at[key.kid] = now
        self.issuer.keys = published
        if self.issuer.etag is not None:
            self.issuer.etag += "0"

    def _process(self) -> KeySource:
        asking = Asking(self.issuer, self.clock, self.log)
        shared = InlineKeys(self.cache, self.clock)
        asking.process = KeySource(
            ISSUER, asking, shared, LIFETIMES, clock=self.clock, spawn=at_once
        )
        source: KeySource = asking.process
        return source


TestKeysOverTime = KeysOverTime.TestCase
TestKeysOverTime.settings = settings(
    max_examples=500,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
