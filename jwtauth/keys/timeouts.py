"""Calls that may hang, given a limit: name resolution and cache clients keep to no deadline."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class BoundedCall(Generic[T]):
    """A function that runs in a thread of its own, waited for as long as the caller can afford.

    The thread is a daemon: it never keeps a process from ending.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="jwtauth-call", daemon=True)

    def result(self, seconds: float) -> T:
        """The function's result, or its exception, or ``TimeoutError`` after ``seconds``."""
        self._thread.start()
        self._thread.join(seconds)
        if self._error is not None:
            raise self._error
        if not self._result:
            raise TimeoutError
        return self._result[0]

    @property
    def running(self) -> bool:
        """Whether the function still runs, waited for or not."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._result.append(self._function())
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread.
            self._error = error
