"""Time calls side by side, in turns, so that other load on the machine affects all of them."""

from __future__ import annotations

import gc
import statistics
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from report import Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

BATCH: Final = 10


class Contender(NamedTuple):
    """A call to time, and its arguments, which are made outside the measured time."""

    call: Callable[[Any], object]
    arguments: Iterator[Any]


def in_turns(
    contenders: Mapping[str, Contender], *, rounds: int, calls: int
) -> dict[str, list[float]]:
    """Return the median microseconds of a call, for each contender and round.

    In each round they take turns, in batches, until each was called ``calls`` times.
    """
    medians: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        times: dict[str, list[int]] = {name: [] for name in contenders}
        for _ in range(calls // BATCH):
            for name in order:
                times[name] += _batch(contenders[name])
            order.append(order.pop(0))
        for name, each in times.items():
            medians[name].append(statistics.median(each) / 1000)
        gc.collect()
    gc.enable()
    return medians


def ratio(these: list[float], those: list[float]) -> Spread:
    """Compare two contenders in each round."""
    return Spread.of([this / that for this, that in zip(these, those, strict=True)])


def difference(these: list[float], those: list[float]) -> Spread:
    """Subtract one contender from another in each round."""
    return Spread.of([this - that for this, that in zip(these, those, strict=True)])


def _batch(contender: Contender) -> list[int]:
    """Return the nanoseconds of each call."""
    arguments = [next(contender.arguments) for _ in range(BATCH)]
    times = []
    for argument in arguments:
        began_at = perf_counter_ns()
        contender.call(argument)
        times.append(perf_counter_ns() - began_at)
    return times
