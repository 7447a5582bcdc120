"""Waiting for background work, in threads and in event loops."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from jwtauth.keys.waiting import Landing, MustWait, began_at, without_blocking

from .doubles import WAIT

if TYPE_CHECKING:
    from collections.abc import Callable


def test_thread_waits_until_it_happens() -> None:
    landing = Landing()
    thread = threading.Thread(target=landing.wait, args=(WAIT,), daemon=True)
    thread.start()

    landing.happen()

    thread.join(WAIT)
    assert not thread.is_alive()


@pytest.mark.parametrize("seconds", [0.02, 0, -1])
def test_thread_waits_no_longer_than_it_was_told(seconds: float) -> None:
    started_at = time.monotonic()

    Landing().wait(seconds)

    assert max(seconds, 0) <= time.monotonic() - started_at < WAIT / 2


def waits_for(landing: Landing) -> tuple[list[str], Callable[[], str]]:
    """Work that waits for a landing, and the list in which each call of it is noted."""
    calls: list[str] = []

    def work() -> str:
        calls.append("begun")
        landing.wait(WAIT)
        return "done"

    return calls, work


async def test_event_loop_goes_on_while_a_coroutine_waits() -> None:
    landing = Landing()
    calls, work = waits_for(landing)

    waiting = [asyncio.ensure_future(without_blocking(work)) for _ in range(50)]
    await asyncio.sleep(0)
    assert len(calls) == 50
    assert not any(each.done() for each in waiting)
    landing.happen()

    assert await asyncio.gather(*waiting) == ["done"] * 50
    assert len(calls) == 100
    # One thread waited for all of them.
    assert len(landing._by_loop) == 1


async def test_coroutine_waits_no_longer_than_it_was_told_and_once_for_each() -> None:
    landings = [Landing(), Landing()]
    calls: list[str] = []

    def work() -> str:
        calls.append("begun")
        for landing in landings:
            landing.wait(0.01)
        return "done"

    assert await without_blocking(work) == "done"
    assert len(calls) == 3


async def test_what_has_happened_already_is_not_waited_for() -> None:
    landing = Landing()
    landing.happen()
    calls: list[str] = []

    def work() -> None:
        calls.append("begun")
        landing.wait(WAIT)

    await without_blocking(work)
    assert len(calls) == 1


async def test_exceptions_come_out_and_leave_nothing_behind() -> None:
    def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await without_blocking(fail)

    # Blocking, as without it.
    Landing().wait(0)


async def test_waiting_that_is_cancelled_does_not_disturb_others() -> None:
    landing = Landing()
    first = asyncio.ensure_future(without_blocking(lambda: landing.wait(WAIT)))
    second = asyncio.ensure_future(without_blocking(lambda: landing.wait(WAIT)))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    landing.happen()

    await second


async def test_loop_whose_threads_are_all_busy_does_not_prolong_the_waiting() -> None:
    end = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        executor.submit(end.wait, WAIT)
        landing = Landing()
        try:
            await asyncio.wait_for(without_blocking(lambda: landing.wait(0.01)), WAIT / 2)
        finally:
            end.set()


async def test_loop_that_can_start_no_thread_goes_on_with_what_is_there() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    asyncio.get_running_loop().set_default_executor(executor)
    landing = Landing()
    calls, work = waits_for(landing)

    assert await without_blocking(work) == "done"
    assert len(calls) == 2


async def test_work_that_is_begun_again_began_when_it_did_at_first() -> None:
    landing = Landing()
    times = iter([1.0, 2.0, 3.0])
    seen: list[float] = []

    def work() -> None:
        seen.append(began_at(next(times)))
        landing.wait(0.01)

    await without_blocking(work)
    assert seen == [1, 1]
    assert began_at(next(times)) == 3


def test_one_who_must_wait_is_told_for_what_and_for_how_long() -> None:
    landing = Landing()

    error = MustWait(landing, 5)

    assert (error.landing, error.seconds) == (landing, 5)
