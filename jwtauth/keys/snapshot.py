"""A set of keys as it was at one moment, and how long it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jwtauth.tokens.jwks import KeySet


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long keys count, in seconds: the settings ``JWKS_TTL`` to ``JWKS_TIMEOUT``."""

    ttl: float = 600
    stale_ttl: float = 86400
    cooldown: float = 30
    timeout: float = 5

    @property
    def ahead(self) -> float:
        """The age from which on a set is refreshed in the background."""
        return self.ttl - min(60, self.ttl / 10)

    def backoff(self, failures: int) -> float:
        """Seconds between the last of so many failures in a row and the next fetch."""
        # Bounded before the power, which a count from the shared cache could make huge.
        return min(2.0 ** min(failures - 1, 30), max(self.cooldown, 1))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Keys fetched at ``fetched_at``, and the times at which their states end.

    All of them are readings of this process's monotonic clock.
    """

    keys: KeySet
    text: str
    etag: str | None
    fetched_at: float
    ahead_at: float
    expires_at: float
    stale_until: float

    @classmethod
    def of(
        cls, keys: KeySet, text: str, etag: str | None, fetched_at: float, lifetimes: Lifetimes
    ) -> Snapshot:
        """The snapshot of keys that were fetched at ``fetched_at``."""
        expires_at = fetched_at + lifetimes.ttl
        return cls(
            keys,
            text,
            etag,
            fetched_at,
            fetched_at + lifetimes.ahead,
            expires_at,
            expires_at + lifetimes.stale_ttl,
        )
