"""What every scenario works with and returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .processes import Issuer, Redis, Workers
    from .worker import Result

SECONDS_OF_A_WAIT: Final = 0.25
"""A request takes longer only if it waits: half of what a slow issuer takes here."""


@dataclass(slots=True)
class Stage:
    """Eight workers that share a Redis, and an issuer that none of them knows yet."""

    workers: Workers
    redis: Redis
    issuer: Issuer
    quick: bool

    def length(self, full: float, quick: float) -> float:
        """Return the figure for the form of the run that was asked for."""
        return quick if self.quick else full


class Finding(NamedTuple):
    """The result of a scenario, and whether the promise is kept.

    ``scaled`` names the settings, and durations that stand for minutes or hours.
    """

    text: str
    is_kept: bool
    scaled: str = ""


SCENARIOS: Final[dict[int, tuple[str, Callable[[Stage], Finding]]]] = {}
"""For each row the promise, and the function that shows whether it is kept."""


def scenario(
    number: int, promise: str
) -> Callable[[Callable[[Stage], Finding]], Callable[[Stage], Finding]]:
    """Register a scenario, whose docstring is the title of its row."""

    def register(run: Callable[[Stage], Finding]) -> Callable[[Stage], Finding]:
        SCENARIOS[number] = promise, run
        return run

    return register


def rejected(results: Sequence[Result]) -> int:
    """Count the responses other than 200."""
    return sum(result.status != 200 for result in results)


def waited(results: Sequence[Result]) -> int:
    """Count the requests that waited for something."""
    return sum(result.seconds > SECONDS_OF_A_WAIT for result in results)


def last_accepted(results: Sequence[Result]) -> float:
    """Return the Unix time of the last request that was answered with 200."""
    return max(result.began_at for result in results if result.status == 200)


def longest_wait(results: Sequence[Result]) -> float:
    """Return the seconds that the slowest request took."""
    return max(result.seconds for result in results)


def within(results: Sequence[Result], share: float = 0.99) -> float:
    """Return the milliseconds within which this share of the requests was answered."""
    ordered = sorted(result.seconds for result in results)
    return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]
