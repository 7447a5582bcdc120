"""Time limits for calls that have none of their own, such as name resolution."""

from __future__ import annotations

import time
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def call_with_timeout(function: Callable[[], T], seconds: float, name: str = "jwtauth-call") -> T:
    """Return the function's result, or raise its exception, or ``TimeoutError`` after ``seconds``.

    The function runs in a daemon thread, which continues after a timeout. Raises ``RuntimeError``
    if no thread can be started.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised in the waiting thread.
            future.set_exception(error)

    Thread(target=run, name=name, daemon=True).start()
    return future.result(seconds)


class Deadline:
    """The point in time at which a sequence of operations must be finished."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left, or raise ``TimeoutError`` if there are none."""
        remaining = self._ends_at - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining
