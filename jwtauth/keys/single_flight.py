"""Background work that a process does once, whoever asks for it, and two ways to wait for it.

The key source never blocks. It raises ``WouldBlock``, and one of two drivers waits and calls again:
``retry_when_ready`` blocks the thread, ``aretry_when_ready`` lets the event loop go on.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import connections
from django.views.decorators.debug import sensitive_variables

if TYPE_CHECKING:
    from collections.abc import Callable

    from jwtauth.tokens.trusted_issuer import KeySearch

    from .clock import Clock

T = TypeVar("T")


class WouldBlock(Exception):  # noqa: N818 - it reports a condition, not an error.
    """The result depends on ``future``: wait for it, at most ``seconds``, and call again.

    The next call takes ``search``, which holds what this one has tried.
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
    """Return ``function(*args, search)``; the event loop goes on while it would block."""
    search = None
    while True:
        try:
            return function(*args, search)
        except WouldBlock as blocked:
            search = blocked.search
            # Not wait_for(), which would cancel the future that others wait for.
            await asyncio.wait({asyncio.wrap_future(blocked.future)}, timeout=blocked.seconds)


class Call:
    """A call in progress: ``future`` is done when it has ended, with or without success."""

    __slots__ = ("future", "started_at")

    def __init__(self, started_at: float) -> None:
        self.started_at: float = started_at
        self.future: Future[None] = Future()
        # A running future cannot be cancelled by one of those who wait for it.
        self.future.set_running_or_notify_cancel()


def in_background(work: Callable[[], None]) -> None:
    """Run ``work`` in a daemon thread, which never keeps the process from ending.

    Raises ``RuntimeError`` if no thread can be started.
    """

    def run() -> None:
        try:
            work()
        finally:
            # A signal receiver may have used the ORM, and nothing else closes this thread's part.
            connections.close_all()

    threading.Thread(target=run, name="jwtauth-keys", daemon=True).start()


class SingleFlight:
    """Runs at most one call at a time. A forked child starts without its parent's call."""

    def __init__(self, clock: Clock, spawn: Callable[[Callable[[], None]], None]) -> None:
        self._clock = clock
        self._spawn = spawn
        self.reset()
        _instances.add(self)

    def reset(self) -> None:
        """Forget a call whose thread is in the parent process."""
        self._lock = threading.Lock()
        self.current: Call | None = None

    def start_or_join(self, work: Callable[[Call], Callable[[], None]]) -> Call:
        """Return the call in progress, or start ``work`` in the background.

        What ``work`` returns is called in the same thread once the call has ended and nobody waits
        for it. Raises what ``spawn`` raises.
        """
        with self._lock:
            if self.current is not None:
                return self.current
            call = self.current = Call(self._clock.monotonic())
        try:
            self._spawn(lambda: self._run(call, work))
        except BaseException:
            self._end(call)
            raise
        return call

    def run(self, work: Callable[[Call], Callable[[], None]]) -> None:
        """Run ``work`` in this thread, after the call in progress."""
        while True:
            with self._lock:
                other = self.current
                if other is None:
                    call = self.current = Call(self._clock.monotonic())
                    break
            wait((other.future,))
        self._run(call, work)

    def _run(self, call: Call, work: Callable[[Call], Callable[[], None]]) -> None:
        try:
            then = work(call)
        finally:
            self._end(call)
        then()

    def _end(self, call: Call) -> None:
        with self._lock:
            if self.current is call:
                self.current = None
        call.future.set_result(None)


_instances: weakref.WeakSet[SingleFlight] = weakref.WeakSet()


def _after_fork() -> None:
    for instance in tuple(_instances):
        instance.reset()


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=_after_fork)
