"""Background work, one at a time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from jwtauth.keys import flights as module
from jwtauth.keys.clock import Clock
from jwtauth.keys.flights import Flights, in_background

from .doubles import WAIT, Later, at_once

if TYPE_CHECKING:
    from collections.abc import Callable


def nothing() -> None:
    pass


def test_one_flight_is_under_way_at_a_time() -> None:
    later = Later()
    flights = Flights(Clock(), later)

    first, is_first_new = flights.launch(nothing)
    second, is_second_new = flights.launch(nothing)

    assert flights.current is first is second
    assert (is_first_new, is_second_new) == (True, False)
    assert len(later.work) == 1
    later.run()
    assert flights.current is None
    assert flights.launch(nothing)[1]


def test_hundred_threads_start_one_flight() -> None:
    later = Later()
    flights = Flights(Clock(), later)
    barrier = threading.Barrier(100)

    def launch() -> None:
        barrier.wait(WAIT)
        flights.launch(nothing)

    threads = [threading.Thread(target=launch) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)

    assert len(later.work) == 1


def test_flight_lands_where_its_work_raises() -> None:
    flights = Flights(Clock(), at_once)

    def fail() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        flights.launch(fail)

    assert flights.current is None


def test_flight_that_cannot_start_lands_at_once() -> None:
    def refuse(_work: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    flights = Flights(Clock(), refuse)
    flight, is_new = flights.launch(nothing)
    before = time.monotonic()
    flights.wait(flight, WAIT)

    assert is_new
    assert flights.current is None
    assert time.monotonic() - before < WAIT / 2


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_flight_whose_start_fails_for_any_other_reason_does_not_keep_the_next_from_starting(
    error: type[BaseException],
) -> None:
    def fail(_work: Callable[[], None]) -> None:
        raise error

    flights = Flights(Clock(), fail)
    with pytest.raises(error):
        flights.launch(nothing)

    assert flights.current is None


def test_waiting_ends_so_many_seconds_after_the_start_of_the_flight() -> None:
    flights = Flights(Clock(), Later())
    flight, _ = flights.launch(nothing)

    flights.wait(flight, 0.05)
    assert time.monotonic() - flight.started_at >= 0.05

    before = time.monotonic()
    flights.wait(flight, 0.05)
    assert time.monotonic() - before < 0.05


def test_background_is_a_thread_that_keeps_no_process_from_ending() -> None:
    seen: list[threading.Thread] = []
    done = threading.Event()

    def work() -> None:
        seen.append(threading.current_thread())
        done.set()

    in_background(work)

    assert done.wait(WAIT)
    assert seen[0].daemon
    assert seen[0] is not threading.current_thread()


def test_child_knows_nothing_of_flights_and_locks_of_its_parent() -> None:
    later = Later()
    flights = Flights(Clock(), later)
    left_behind, _ = flights.launch(nothing)
    flights._lock.acquire()

    module._after_fork()

    flight, is_new = flights.launch(nothing)
    assert is_new
    assert flight is not left_behind
    # As if the parent's thread went on in the child after all.
    later.work.pop(0)()
    assert flights.current is flight
