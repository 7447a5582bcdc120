"""Background work, one call at a time, and waiting for it in threads and in event loops."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from jwtauth.keys.single_flight import (
    Call,
    SingleFlight,
    Spawn,
    WouldBlock,
    aretry_when_ready,
    in_background,
    retry_when_ready,
)
from jwtauth.keys.state import Clock
from jwtauth.tokens.trusted_issuer import KeySearch

from .doubles import WAIT, Later, no_thread

if TYPE_CHECKING:
    from collections.abc import Callable


def nothing() -> None:
    pass


def work(_call: Call) -> None:
    pass


def single_flight(spawn: Spawn, then: Callable[[], None] = nothing) -> SingleFlight:
    return SingleFlight(Clock(), spawn, then)


def test_one_call_is_in_progress_at_a_time() -> None:
    later = Later()
    flight = single_flight(later)

    first, second = flight.start_or_join(work), flight.start_or_join(work)

    assert flight.current is first is second
    assert len(later.work) == 1
    later.run()
    assert first.future.done()
    assert flight.current is None
    assert flight.start_or_join(work) is not first


def test_hundred_threads_start_one_call() -> None:
    later = Later()
    flight = single_flight(later)
    barrier = threading.Barrier(100)

    def start() -> None:
        barrier.wait(WAIT)
        flight.start_or_join(work)

    threads = [threading.Thread(target=start) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)

    assert len(later.work) == 1


def test_call_ends_when_its_work_raises() -> None:
    later = Later()
    flight = single_flight(later)

    def fail(_call: Call) -> None:
        raise ValueError("mine")

    call = flight.start_or_join(fail)
    with pytest.raises(ValueError, match="mine"):
        later.run()

    assert call.future.done()
    assert flight.current is None


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, KeyboardInterrupt])
def test_call_that_cannot_start_does_not_prevent_the_next(error: type[BaseException]) -> None:
    def fail(_work: Callable[[], None]) -> None:
        raise error

    flight = single_flight(fail)
    with pytest.raises(error):
        flight.start_or_join(work)

    assert flight.current is None


def test_work_that_is_interrupted_in_this_thread_raises_the_interrupt() -> None:
    def interrupt(_: Call) -> None:
        raise KeyboardInterrupt

    flight = single_flight(lambda run: run())

    with pytest.raises(KeyboardInterrupt):
        flight.start_or_join(interrupt)
    assert flight.current is None


def test_what_is_left_to_do_is_done_when_nobody_waits_any_more() -> None:
    later, seen = Later(), list[bool]()
    flight = single_flight(
        later, then=lambda: seen.append(call.future.done() and flight.current is None)
    )

    call = flight.start_or_join(work)
    later.run()

    assert seen == [True]


def test_work_in_this_thread_waits_for_the_call_in_progress() -> None:
    flight = single_flight(in_background)
    begun, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def background(_call: Call) -> None:
        begun.set()
        go_on.wait(WAIT)
        order.append("background")

    def foreground(_call: Call) -> None:
        order.append("foreground")

    flight.start_or_join(background)
    assert begun.wait(WAIT)
    thread = threading.Thread(target=flight.run, args=(foreground,))
    thread.start()
    go_on.set()
    thread.join(WAIT)

    assert order == ["background", "foreground"]


def test_background_is_a_daemon_thread() -> None:
    seen: Future[threading.Thread] = Future()

    in_background(lambda: seen.set_result(threading.current_thread()))

    assert seen.result(WAIT).daemon
    assert seen.result() is not threading.current_thread()


@pytest.mark.django_db(transaction=True)
def test_background_thread_closes_the_database_connection_that_it_opened() -> None:
    opened: Future[tuple[threading.Thread, Any]] = Future()

    def use_the_database() -> None:
        connection.ensure_connection()
        wrapper = connection._connections[connection._alias]  # type: ignore[attr-defined]
        opened.set_result((threading.current_thread(), wrapper))

    in_background(use_the_database)
    thread, wrapper = opened.result(WAIT)
    thread.join(WAIT)

    assert wrapper.connection is None


def test_child_knows_no_calls_of_its_parent() -> None:
    flight = single_flight(Later())
    flight.start_or_join(work)

    child = os.fork()
    if not child:
        os._exit(flight.current is not None)

    assert os.waitpid(child, 0)[1] == 0
    assert flight.current is not None


def ends_after(
    call: Call, seconds: float = WAIT
) -> tuple[list[KeySearch | None], Callable[..., str]]:
    """Return a function that waits once for this call, and the searches that it was called with."""
    searches: list[KeySearch | None] = []

    def function(argument: str, search: KeySearch | None) -> str:
        searches.append(search)
        if search is None:
            raise WouldBlock(call.future, seconds, KeySearch(0))
        return argument

    return searches, function


def test_thread_waits_until_the_call_has_ended_and_goes_on_with_its_search() -> None:
    call = Call(0)
    searches, function = ends_after(call)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(retry_when_ready, function, "result")
        call.future.set_result(None)
        assert waiting.result(WAIT) == "result"
    assert [search is None for search in searches] == [True, False]


@pytest.mark.parametrize("seconds", [0.02, 0, -1])
def test_thread_waits_no_longer_than_it_was_told(seconds: float) -> None:
    _, function = ends_after(Call(0), seconds)
    started_at = time.monotonic()

    assert retry_when_ready(function, "result") == "result"

    assert max(seconds, 0) <= time.monotonic() - started_at < WAIT / 2


async def test_event_loop_goes_on_while_coroutines_wait() -> None:
    call = Call(0)
    searches, function = ends_after(call)
    threads = threading.active_count()

    waiting = [asyncio.ensure_future(aretry_when_ready(function, "result")) for _ in range(50)]
    await asyncio.sleep(0)
    assert not any(each.done() for each in waiting)
    assert threading.active_count() == threads
    call.future.set_result(None)

    assert await asyncio.gather(*waiting) == ["result"] * 50
    assert len(searches) == 100


async def test_each_coroutine_waits_its_own_time_for_the_same_call() -> None:
    call = Call(0)
    _, brief = ends_after(call, 0.02)
    _, patient = ends_after(call)
    first = asyncio.ensure_future(aretry_when_ready(brief, "brief"))
    second = asyncio.ensure_future(aretry_when_ready(patient, "patient"))

    assert await first == "brief"
    await asyncio.sleep(0.02)
    assert not second.done()
    call.future.set_result(None)
    assert await second == "patient"


async def test_coroutine_that_is_cancelled_does_not_disturb_the_others() -> None:
    call = Call(0)
    _, function = ends_after(call)
    first = asyncio.ensure_future(aretry_when_ready(function, "first"))
    second = asyncio.ensure_future(aretry_when_ready(function, "second"))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    assert not call.future.cancelled()
    call.future.set_result(None)
    assert await second == "second"


async def test_loop_whose_threads_are_all_busy_does_not_prolong_the_waiting() -> None:
    end = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        executor.submit(end.wait, WAIT)
        _, function = ends_after(Call(0), 0.01)
        try:
            await asyncio.wait_for(aretry_when_ready(function, "result"), WAIT / 2)
        finally:
            end.set()


async def test_exceptions_propagate() -> None:
    def fail(_search: KeySearch | None) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        retry_when_ready(fail)
    with pytest.raises(KeyError, match="mine"):
        await aretry_when_ready(fail)


def test_machine_that_starts_no_thread_raises() -> None:
    with pytest.raises(RuntimeError):
        single_flight(no_thread).start_or_join(work)
