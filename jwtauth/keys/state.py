"""What a process knows about one issuer's keys: the snapshot, the last failure, and the timers.

All times are readings of this process's monotonic clock. These are all the timers there are:

| timer | starts with | until it ends |
| --- | --- | --- |
| ``ahead_at``, ``expires_at``, ``stale_until`` of the snapshot | a fetch | see ``KeyState.name`` |
| ``next_try_at`` of the failure: 1, 2, 4 … s, at most C | a failed fetch | no fetch |
| ``next_ask_at``: C | the answer to an asked fetch of this process | no asked fetch |
| ``next_look_at``: 1 s | a look into the shared cache | no look that only might help |
| ``claim_held_until``: C, or the moment | that answer, or a look that finds it | evidence |

A fetch is *asked* if an unknown key or a bad signature caused it; all others are ordinary.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from jwtauth.tokens.jwks import KeySet

    from .clock import Clock

logger: Final = logging.getLogger("jwtauth")


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How long keys are used, in seconds: the settings ``JWKS_TTL`` to ``JWKS_TIMEOUT``."""

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
    """Keys as they were at ``fetched_at``, and when their states end.

    ``claim`` is the claim of the asked fetch that this set, or one it is newer than, answered.
    """

    keys: KeySet
    text: str
    claim: str | None
    fetched_at: float
    ahead_at: float
    expires_at: float
    stale_until: float


class Status(NamedTuple):
    """The state of one issuer's keys; ``age`` and ``retry_in`` are in seconds."""

    issuer: str
    state: str
    age: float | None
    keys: int
    failures: int
    reason: str | None
    retry_in: float | None


@dataclass(frozen=True, slots=True)
class Failure:
    """The last of ``count`` fetches in a row failed.

    ``answered``: the issuer has published a set without usable keys, and nothing better since.
    ``is_own``: this process tried, and no other.
    """

    id: str
    count: int
    failed_at: float
    next_try_at: float
    answered: bool
    reason: str
    is_own: bool = True


class KeyState:
    """Written by one call at a time and read by every thread: attributes are replaced whole."""

    def __init__(self, issuer: str, policy: CachePolicy, clock: Clock) -> None:
        self.issuer = issuer
        self.policy = policy
        self.snapshot: Snapshot | None = None
        self.failure: Failure | None = None
        self.next_ask_at: float = clock.monotonic()
        self.next_look_at: float = self.next_ask_at
        self.claim: str | None = None
        self.claim_held_until: float = self.next_ask_at
        self._clock = clock
        self._reported: str | None = None

    @property
    def name(self) -> str:
        """The name of the state that requests find now."""
        snapshot, failure = self.snapshot, self.failure
        now = self._clock.monotonic()
        if snapshot is None or now >= snapshot.stale_until:
            return "unavailable"
        if now < snapshot.ahead_at:
            return "fresh"
        if now < snapshot.expires_at:
            return "ahead"
        if failure is None:
            return "expired"
        if failure.answered:
            return "unavailable"
        # A failure counts as long as a set does. After that, an idle process has to ask first.
        return "stale" if now < failure.failed_at + self.policy.ttl else "expired"

    def seconds_until_try(self) -> float:
        """Return how long the back-off lasts; 0 or less if a fetch may start."""
        failure = self.failure
        return 0 if failure is None else failure.next_try_at - self._clock.monotonic()

    def seconds_until_ask(self) -> float:
        """Return how long no asked fetch may start."""
        return max(self.next_ask_at - self._clock.monotonic(), self.seconds_until_try())

    def seconds_until_look(self) -> float:
        """Return how long the last look into the shared cache has to do."""
        return self.next_look_at - self._clock.monotonic()

    @property
    def failed_lately(self) -> bool:
        """Whether the last attempt failed within the cooldown."""
        failure = self.failure
        oldest = self._clock.monotonic() - self.policy.cooldown
        return failure is not None and failure.failed_at > oldest

    @property
    def is_fresh(self) -> bool:
        """Whether the keys need no refresh yet."""
        snapshot = self.snapshot
        return snapshot is not None and self._clock.monotonic() < snapshot.ahead_at

    def is_evidence(self, snapshot: Snapshot, arrived_at: float) -> bool:
        """Whether a key that this snapshot lacks is unknown to the issuer.

        It is if the snapshot is the answer to an asked fetch whose claim was held after the token
        arrived. The claim is named, never dated, since the clocks of two hosts differ.
        """
        return (
            snapshot.claim is not None
            and snapshot.claim == self.claim
            and arrived_at <= self.claim_held_until
        )

    def install(self, keys: KeySet, text: str, claim: str | None, fetched_at: float) -> None:
        """Use these keys from now on; an earlier failure no longer counts."""
        policy = self.policy
        expires_at = fetched_at + policy.ttl
        self.snapshot = Snapshot(
            keys,
            text,
            claim,
            fetched_at,
            fetched_at + policy.ahead,
            expires_at,
            expires_at + policy.stale_ttl,
        )
        failure = self.failure
        if failure is not None and failure.failed_at <= fetched_at:
            self.failure = None

    def status(self) -> Status:
        """Return the state as a request would find it, without asking anybody."""
        snapshot, failure = self.snapshot, self.failure
        return Status(
            self.issuer,
            self.name,
            None if snapshot is None else self._clock.monotonic() - snapshot.fetched_at,
            0 if snapshot is None else len(snapshot.keys),
            0 if failure is None else failure.count,
            None if failure is None else failure.reason,
            None if failure is None else max(0, self.seconds_until_try()),
        )

    def log_changes(self) -> None:
        """Log when refreshing begins to fail, when no keys are left, and when all works again."""
        status = self.status()
        condition = "working" if status.reason is None else "failing"
        if condition == "failing" and status.state == "unavailable":
            condition = "unavailable"
        if condition == self._reported:
            return
        self._reported = condition
        extra = status._asdict()
        if condition == "working":
            logger.info("%s: loaded %d verification keys.", self.issuer, status.keys, extra=extra)
        elif condition == "failing":
            logger.warning(
                "%s: cannot refresh the keys (%s); using the keys of %d s ago.",
                self.issuer,
                status.reason,
                status.age or 0,
                extra=extra,
            )
        else:
            logger.error(
                "%s: no usable verification keys (%s).", self.issuer, status.reason, extra=extra
            )
