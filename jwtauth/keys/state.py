"""What a process knows about one issuer's keys: the snapshot, the last failure, and the timers.

All times are readings of this process's monotonic clock. T, S and C are ``ttl``, ``stale_ttl`` and
``cooldown`` of ``CachePolicy``. These are all the timers there are:

| timer | starts with | until it ends |
| --- | --- | --- |
| ``fetched_at`` of the snapshot: T and S | a fetch | see ``KeyState.name`` |
| ``failed_at`` of the failure: 1, 2, 4 … s, at most C | a failed fetch | no fetch starts |
| ``next_look_at``: 1 s | a look into the shared cache | no look starts that only might help |
| ``claim_held_until``: C | the answer to an asked fetch | it is evidence; no asked fetch starts |
| ``claim_ends_at``: C and 1 s | the first look that finds a claim | later looks count it |

A fetch is *asked* if an unknown key or a bad signature caused it; all others are ordinary.

A child process keeps this state after a fork. ``single_flight`` and ``cache_worker`` forget the
threads of the parent.
"""

import logging
import time
from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

from jwtauth.tokens.jwks import KeySet

logger: Final = logging.getLogger("jwtauth")

LOG_MESSAGES: Final = {
    logging.INFO: "%(issuer)s: loaded %(keys)d verification keys.",
    logging.WARNING: (
        "%(issuer)s: cannot refresh the keys (%(reason)s); using the keys of %(age)d s ago."
    ),
    logging.ERROR: "%(issuer)s: no usable verification keys (%(reason)s).",
}


class Clock:
    """The clocks of this machine. Tests replace them."""

    monotonic: "staticmethod[[], float]" = staticmethod(time.monotonic)
    """Seconds that only this process can read, for ages and deadlines. Every request reads this
    clock, so nothing is called in between."""

    def time(self) -> float:
        """Return Unix time in seconds, for what processes tell each other."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Block a background thread."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How long keys are used, in seconds: the settings ``JWKS_TTL`` to ``JWKS_TIMEOUT``.

    The defaults are for tests. ``jwtauth.verification`` passes the values of the settings.
    """

    ttl: float = 600
    stale_ttl: float = 86400
    cooldown: float = 10
    timeout: float = 5

    @property
    def ahead(self) -> float:
        """The age from which a set is refreshed in the background."""
        return self.ttl - min(60, self.ttl / 10)

    def backoff(self, failures: int) -> float:
        """Return the seconds from the last of so many failures in a row to the next fetch."""
        # Bounded before the power, which a count from the shared cache could make huge.
        return min(2.0 ** min(failures - 1, 30), max(self.cooldown, 1))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Keys as they were at ``fetched_at``; a background refresh starts at ``ahead_at``.

    ``claim`` is the id of the last asked fetch that is not newer than this set.
    """

    keys: KeySet
    text: str
    claim: str | None
    fetched_at: float
    ahead_at: float


class Failure(NamedTuple):
    """The last of so many ``failures`` in a row to fetch keys.

    ``answered``: the issuer has published a set without usable keys, and nothing better since.
    If another process failed at an unknown time, ``failed_at`` is in the distant past.
    """

    id: str
    failures: int
    answered: bool
    reason: str
    failed_at: float = -inf


class Status(NamedTuple):
    """The state of one issuer's keys; ``age`` and ``retry_in`` are in seconds."""

    issuer: str
    state: str
    age: float | None = None
    keys: int = 0
    failures: int = 0
    reason: str | None = None
    retry_in: float | None = None


class KeyState:
    """Written by one call at a time and read by every thread: attributes are replaced whole."""

    def __init__(self, issuer: str, policy: CachePolicy, clock: Clock | None = None) -> None:
        self.issuer = issuer
        self.policy = policy
        self.clock: Clock = clock or Clock()
        self.snapshot: Snapshot | None = None
        self.failure: Failure | None = None
        self.claim: str | None = None
        self.claim_held_until: float = -inf
        self.claim_ends_at: float = -inf
        self.next_look_at: float = -inf
        self._logged: int | None = None

    @property
    def name(self) -> str:
        """The state that requests find now.

        As keys age, they are ``fresh``, ``ahead`` (of the expiry, so refreshed in the background),
        ``expired``, or ``stale`` if the last attempt failed, and finally ``unavailable``.
        """
        snapshot, failure, ttl = self.snapshot, self.failure, self.policy.ttl
        if snapshot is None:
            return "unavailable"
        age = self.clock.monotonic() - snapshot.fetched_at
        if age < ttl:
            return "fresh" if age < self.policy.ahead else "ahead"
        is_withdrawn = failure is not None and failure.answered
        if is_withdrawn or age >= ttl + self.policy.stale_ttl:
            return "unavailable"
        # A failure counts as long as a key set. After that, an idle process has to ask first.
        return "stale" if self.has_failed_within(ttl) else "expired"

    @property
    def keys(self) -> KeySet | None:
        """The keys of the snapshot."""
        return None if self.snapshot is None else self.snapshot.keys

    def seconds_until_try(self) -> float:
        """Return how long the back-off lasts; 0 if a fetch may start."""
        failure = self.failure
        if failure is None:
            return 0
        next_try_at = failure.failed_at + self.policy.backoff(failure.failures)
        return max(0, next_try_at - self.clock.monotonic())

    def seconds_until_ask(self) -> float:
        """Return how long no asked fetch may start; 0 if it may."""
        return max(self.claim_held_until - self.clock.monotonic(), self.seconds_until_try())

    def seconds_until_look(self) -> float:
        """Return how long the last look into the shared cache suffices; 0 or less if it is over."""
        return self.next_look_at - self.clock.monotonic()

    def has_failed_within(self, seconds: float) -> bool:
        """Return whether the last attempt failed, and did so within so many seconds."""
        failure = self.failure
        return failure is not None and self.clock.monotonic() < failure.failed_at + seconds

    def answer(self, keys: KeySet | None, arrived_at: float) -> KeySet | None:
        """Return what is known about a key that ``keys`` lack and a token needs.

        The result is newer keys, which may have it; or ``keys``, if the issuer does not know it;
        or ``None``, if only the issuer can tell. The issuer does not know the key if the snapshot
        is not older than an asked fetch whose claim was held after the token arrived. The claim is
        named, never dated, since the clocks of two hosts differ.
        """
        snapshot = self.snapshot
        if snapshot is None:
            return None
        is_evidence = snapshot.claim is not None and snapshot.claim == self.claim
        is_evidence = is_evidence and arrived_at <= self.claim_held_until
        return snapshot.keys if is_evidence or snapshot.keys is not keys else None

    def install(self, keys: KeySet, text: str, claim: str | None, fetched_at: float) -> None:
        """Use these keys from now on."""
        self.snapshot = Snapshot(keys, text, claim, fetched_at, fetched_at + self.policy.ahead)

    def status(self) -> Status:
        """Return the state as a request would find it, without any I/O."""
        status = Status(self.issuer, self.name)
        snapshot, failure = self.snapshot, self.failure
        if snapshot is not None:
            age = self.clock.monotonic() - snapshot.fetched_at
            status = status._replace(age=age, keys=len(snapshot.keys))
        if failure is not None:
            status = status._replace(failures=failure.failures, reason=failure.reason)
            status = status._replace(retry_in=self.seconds_until_try())
        return status

    def log_changes(self) -> None:
        """Log when refreshes begin to fail, when no keys are left, and when all is well again."""
        status, level = self.status(), logging.INFO
        if status.reason is not None:
            level = logging.ERROR if status.state == "unavailable" else logging.WARNING
        if level != self._logged:
            self._logged = level
            facts = status._asdict()
            logger.log(level, LOG_MESSAGES[level], facts, extra=facts)
