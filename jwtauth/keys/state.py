"""What a process knows of one issuer's keys: the snapshot, the last failure, and what follows.

A snapshot is *fresh*, then refreshed *ahead* of its end, then *expired* where nobody came to do
that, *stale* while the issuer cannot be asked, and at last the keys are *unavailable*.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from .clock import Clock
    from .snapshot import Lifetimes, Snapshot

logger: Final = logging.getLogger("jwtauth")


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
    """The last of ``count`` fetches in a row failed; the times are monotonic.

    ``answered``: the issuer could be asked, and has had no key that can be used since.
    """

    count: int
    failed_at: float
    next_try_at: float
    answered: bool
    reason: str


class KeyState:
    """Written by one flight at a time, read by every thread: each attribute is swapped whole."""

    def __init__(self, issuer: str, lifetimes: Lifetimes, clock: Clock) -> None:
        self.issuer = issuer
        self.lifetimes = lifetimes
        self.snapshot: Snapshot | None = None
        self.failure: Failure | None = None
        # Unknown keys and bad signatures cause no fetch before this time.
        self.next_ask_at: float = clock.monotonic()
        # While a failure cools down, nobody looks into the shared cache before this time.
        self.next_look_at: float = self.next_ask_at
        self._clock = clock
        self._reported: str | None = None

    @property
    def name(self) -> str:
        """The name of the state that requests meet now."""
        snapshot, failure = self.snapshot, self.failure
        now = self._clock.monotonic()
        if snapshot is None:
            return "unavailable"
        if now < snapshot.ahead_at:
            return "fresh"
        if now < snapshot.expires_at:
            return "ahead"
        # An issuer that says it has no keys is not away: what it withdrew serves no longer.
        if now >= snapshot.stale_until or (failure is not None and failure.answered):
            return "unavailable"
        # A failed try counts no longer than a fetch does, or else an idle process that failed
        # once would serve what it has without ever asking first.
        is_tried = failure is not None and now < failure.failed_at + self.lifetimes.ttl
        return "stale" if is_tried else "expired"

    def seconds_until_try(self) -> float:
        """How long the last failure still cools down; 0 or less where a fetch may start."""
        failure = self.failure
        return 0 if failure is None else failure.next_try_at - self._clock.monotonic()

    def seconds_until_ask(self) -> float:
        """The same for a fetch that a token causes."""
        return max(self.next_ask_at - self._clock.monotonic(), self.seconds_until_try())

    def seconds_until_look(self) -> float:
        """The same for a look at what other processes found out."""
        return self.next_look_at - self._clock.monotonic()

    @property
    def failed_lately(self) -> bool:
        """Whether a fetch failed within the last cooldown."""
        failure = self.failure
        oldest = self._clock.monotonic() - self.lifetimes.cooldown
        return failure is not None and failure.failed_at > oldest

    def is_fresh(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot needs no refresh yet."""
        return self._clock.monotonic() < snapshot.ahead_at

    def is_evidence(self, snapshot: Snapshot, began_at: float) -> bool:
        """Whether a key that this snapshot lacks may be called unknown.

        It may where it was fetched within the last cooldown, or after the request began.
        """
        oldest = self._clock.monotonic() - self.lifetimes.cooldown
        return snapshot.fetched_at >= min(oldest, began_at)

    def install(self, snapshot: Snapshot) -> None:
        """Make this the snapshot that requests meet; a failure before it no longer counts."""
        self.snapshot = snapshot
        failure = self.failure
        if failure is not None and failure.failed_at <= snapshot.fetched_at:
            self.failure = None

    def status(self) -> Status:
        """The state as a request would meet it, found without asking anybody."""
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

    def report(self) -> None:
        """Log each change between well, failing and unavailable, and nothing in between."""
        status = self.status()
        condition = "well" if status.reason is None else "failing"
        if status.state == "unavailable":
            condition = "unavailable"
        if condition == self._reported:
            return
        self._reported = condition
        extra = status._asdict()
        if condition == "well":
            logger.info(
                "%s: keys to verify tokens with: %d.", self.issuer, status.keys, extra=extra
            )
        elif condition == "failing":
            logger.warning(
                "%s: the keys could not be refreshed (%s); those of %d s ago still serve.",
                self.issuer,
                status.reason,
                status.age or 0,
                extra=extra,
            )
        else:
            logger.error(
                "%s: no keys to verify tokens with (%s).", self.issuer, status.reason, extra=extra
            )
