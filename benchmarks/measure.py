"""Timing calls side by side, in turns, so that what the machine does meanwhile meets all alike."""

from __future__ import annotations

import gc
import statistics
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Contender(NamedTuple):
    """Something to time: ``call`` on what ``prepare`` makes of a token, which is not timed."""

    name: str
    call: Callable[[Any], object]
    prepare: Callable[[str], Any]


class Timing(NamedTuple):
    """Microseconds a call."""

    minimum: float
    median: float
    calls: int

    @classmethod
    def of(cls, nanoseconds: Sequence[int]) -> Timing:
        """Sum up single calls."""
        return cls(min(nanoseconds) / 1000, statistics.median(nanoseconds) / 1000, len(nanoseconds))


def in_turns(
    contenders: Sequence[Contender], tokens: Sequence[str], *, batch: int = 10
) -> dict[str, Timing]:
    """Time every contender on every token: each takes a batch, then it is the next one's turn."""
    samples: dict[str, list[int]] = {contender.name: [] for contender in contenders}
    order = list(contenders)
    with Undisturbed():
        for start in range(0, len(tokens), batch):
            for contender in order:
                arguments = [contender.prepare(token) for token in tokens[start : start + batch]]
                samples[contender.name] += time_calls(contender.call, arguments)
            order.append(order.pop(0))
            gc.collect(0)
    return {name: Timing.of(times) for name, times in samples.items()}


def time_calls(call: Callable[[Any], object], arguments: Sequence[Any]) -> list[int]:
    """Nanoseconds of each call, less what taking the time costs."""
    times = []
    for argument in arguments:
        began_at = perf_counter_ns()
        call(argument)
        times.append(perf_counter_ns() - began_at - _OWN_COST)
    return times


class Undisturbed:
    """A while without the garbage collector, as ``timeit`` does it."""

    def __enter__(self) -> None:
        gc.collect()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.enable()


def ratio(timings: Mapping[str, Timing], name: str, floor: str) -> float:
    """How many times the floor a contender's minimum is."""
    return timings[name].minimum / timings[floor].minimum


def _own_cost() -> int:
    def nothing(_: object) -> None:
        return

    # The least, so that nobody gets more taken off than it had.
    costs = []
    for _ in range(1000):
        began_at = perf_counter_ns()
        between = perf_counter_ns()
        nothing(None)
        costs.append(between - began_at)
    return min(costs)


_OWN_COST = _own_cost()
