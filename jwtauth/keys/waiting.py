"""Waiting for background work: by blocking a thread, or by letting an event loop go on."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from django.views.decorators.debug import sensitive_variables

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Landing:
    """An event that threads and event loops can wait for alike."""

    def __init__(self) -> None:
        self._happened = threading.Event()
        self._by_loop: dict[asyncio.AbstractEventLoop, asyncio.Future[bool]] = {}

    def happen(self) -> None:
        """Wake whoever waits."""
        self._happened.set()

    def wait(self, seconds: float) -> None:
        """Wait at most ``seconds``; within ``without_blocking`` the event loop does the waiting."""
        patience = _patience.get()
        if patience is None:
            self._happened.wait(seconds)
        elif self not in patience.waited_for and not self._happened.is_set():
            raise MustWait(self, seconds)

    async def until(self, seconds: float) -> None:
        """Wait at most ``seconds`` without blocking the event loop."""
        loop = asyncio.get_running_loop()
        # One thread waits for all coroutines of a loop: a flood of them needs no further one.
        if loop not in self._by_loop:
            try:
                self._by_loop[loop] = loop.run_in_executor(None, self._happened.wait, seconds)
            except RuntimeError:  # No further thread can start.
                return
        # With a limit of its own: others may keep all threads of the loop busy. It cancels nothing.
        await asyncio.wait({self._by_loop[loop]}, timeout=seconds)


class MustWait(Exception):  # noqa: N818 - it is no error.
    """Work that an event loop must not block for; to be tried again after ``landing``."""

    def __init__(self, landing: Landing, seconds: float) -> None:
        super().__init__()
        self.landing = landing
        self.seconds = seconds


@sensitive_variables("args")
async def without_blocking(function: Callable[..., T], *args: Any) -> T:
    """The result of ``function``, called again after each wait that it would have blocked for."""
    patience = _Patience()
    reset = _patience.set(patience)
    try:
        while True:
            try:
                return function(*args)
            except MustWait as wait:
                await wait.landing.until(wait.seconds)
                # Each is waited for once; after that, what is there has to do.
                patience.waited_for.add(wait.landing)
    finally:
        _patience.reset(reset)


def at_once(function: Callable[..., T], *args: Any) -> T:
    """The result of ``function``. Raises ``MustWait`` instead of blocking the thread."""
    if must_not_block():
        return function(*args)
    reset = _patience.set(_Patience())
    try:
        return function(*args)
    finally:
        _patience.reset(reset)


def must_not_block() -> bool:
    """Whether an event loop does the waiting."""
    return _patience.get() is not None


def began_at(now: float) -> float:
    """When the work of this context began: ``now``, or where an earlier call of it was."""
    patience = _patience.get()
    if patience is None:
        return now
    if patience.began_at is None:
        patience.began_at = now
    return patience.began_at


class _Patience:
    """What a coroutine has waited for, and since when."""

    def __init__(self) -> None:
        self.waited_for: set[Landing] = set()
        self.began_at: float | None = None


# None where a thread may be blocked.
_patience: ContextVar[_Patience | None] = ContextVar("jwtauth_patience", default=None)
