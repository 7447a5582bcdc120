"""What every scenario works with, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from report import Goal

    from .processes import Issuer, Redis, Workers


@dataclass(slots=True)
class Stage:
    """Eight workers that share a Redis, and an issuer that nobody knows yet."""

    workers: Workers
    redis: Redis
    issuer: Issuer
    quick: bool

    def length(self, full: float, quick: float) -> float:
        """One of the two, whichever form is asked for."""
        return quick if self.quick else full


@dataclass(slots=True)
class Finding:
    """What came of a scenario, for us and, where it applies to it, for PyJWT."""

    ours: str
    goals: list[Goal]
    peer: str = "does not apply"
    # Hours and minutes, told in seconds.
    compressed: str = ""
    figures: dict[str, float] = field(default_factory=dict)
