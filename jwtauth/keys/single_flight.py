"""Background work that a process does once for all requests, and two ways to wait for it.

The key source never blocks. It raises ``WouldBlock``, and one of two drivers waits and calls again:
``retry_when_ready`` blocks the thread, ``aretry_when_ready`` lets the event loop run. ``source``
decides how long they wait.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Final, TypeAlias, TypeVar

from django.db import connections
from django.views.decorators.debug import sensitive_variables

from jwtauth.tokens.trusted_issuer import KeySearch

from .state import Clock

T = TypeVar("T")
Spawn: TypeAlias = Callable[[Callable[[], None]], None]


class WouldBlock(Exception):  # noqa: N818 - it reports a condition, not an error.
    """The result depends on ``future``: wait for it, at most ``seconds``, and call again.

    Pass ``search`` to the next call. It records what this call has tried.
    """

    def __init__(self, future: Future[None], seconds: float, search: KeySearch) -> None:
        super().__init__()
        self.future = future
        self.seconds = seconds
        self.search = search


def retry_when_ready(function: Callable[..., T], *args: Any) -> T:
    """Return ``function(*args, search)``; block this thread whenever it would block."""
    search = None
    while True:
        try:
            return function(*args, search)
        except WouldBlock as blocked:
            search = blocked.search
            wait((blocked.future,), blocked.seconds)


@sensitive_variables("args")
async def aretry_when_ready(function: Callable[..., T], *args: Any) -> T:
    """Return ``function(*args, search)``; let the event loop run while it would block."""
    search = None
    while True:
        try:
            return function(*args, search)
        except WouldBlock as blocked:
            search = blocked.search
            # Not wait_for(), which would cancel the future that others wait for.
            await asyncio.wait({asyncio.wrap_future(blocked.future)}, timeout=blocked.seconds)


class Call:
    """A call in progress: ``future`` is done when it has ended, with or without success.

    ``started_at`` is the time of the call. The work may reset it when ``is_preparing`` ends.
    """

    __slots__ = ("future", "is_preparing", "started_at")

    def __init__(self, started_at: float) -> None:
        self.started_at: float = started_at
        self.is_preparing: bool = True
        self.future: Future[None] = Future()
        # A waiter cannot cancel a running future.
        self.future.set_running_or_notify_cancel()


def in_background(work: Callable[[], None]) -> None:
    """Run ``work`` in a daemon thread, which never keeps the process from ending.

    Raises ``RuntimeError`` if no thread can be started.
    """

    def run() -> None:
        try:
            work()
        finally:
            # A signal receiver may have used the ORM. Nothing else closes this thread's connection.
            connections.close_all()

    threading.Thread(target=run, name="jwtauth-keys", daemon=True).start()


class SingleFlight:
    """Runs at most one call at a time.

    When a call has ended, its thread calls ``then``. Requests do not wait for that.
    """

    def __init__(self, clock: Clock, spawn: Spawn, then: Callable[[], None]) -> None:
        self._clock = clock
        self._spawn = spawn
        self._then = then

    @property
    def current(self) -> Call | None:
        """The call in progress."""
        return _in_progress.get(self)

    def start_or_join(self, work: Callable[[Call], None]) -> Call:
        """Return the call in progress, or start ``work`` in the background.

        Raises what ``spawn`` raises.
        """
        mine = Call(self._clock.monotonic())
        call = _in_progress.setdefault(self, mine)
        if call is mine:
            try:
                self._spawn(lambda: self._run(mine, work))
            except BaseException:
                if not mine.future.done():  # A command runs the work here, and is interrupted.
                    self._end(mine)
                raise
        return call

    def run(self, work: Callable[[Call], None]) -> None:
        """Run ``work`` in this thread, after the call in progress."""
        mine = Call(self._clock.monotonic())
        while (other := _in_progress.setdefault(self, mine)) is not mine:
            wait((other.future,))
        self._run(mine, work)

    def _run(self, call: Call, work: Callable[[Call], None]) -> None:
        try:
            work(call)
        finally:
            self._end(call)
        self._then()

    def _end(self, call: Call) -> None:
        _in_progress.pop(self, None)
        call.future.set_result(None)


_in_progress: Final[dict[SingleFlight, Call]] = {}
"""The calls of this process. ``dict.setdefault()`` is atomic, so that there is no lock."""

if hasattr(os, "register_at_fork"):  # Windows has no fork.
    # The threads of these calls are in the parent process.
    os.register_at_fork(after_in_child=_in_progress.clear)
