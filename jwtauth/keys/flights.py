"""Background work of which a process needs one at a time, whoever asks for it."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING

from .waiting import Landing

if TYPE_CHECKING:
    from collections.abc import Callable

    from .clock import Clock


class Flight:
    """One piece of work under way; ``landed`` happens when it is over."""

    __slots__ = ("landed", "started_at")

    def __init__(self, started_at: float) -> None:
        self.started_at: float = started_at
        self.landed: Landing = Landing()


def in_background(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread that never keeps the process from ending."""
    threading.Thread(target=work, name="jwtauth-keys", daemon=True).start()


class Flights:
    """At most one flight at a time, each started by ``spawn``; a fork leaves them behind."""

    def __init__(self, clock: Clock, spawn: Callable[[Callable[[], None]], None]) -> None:
        self._clock = clock
        self._spawn = spawn
        self.abandon()
        _all.add(self)

    def abandon(self) -> None:
        """Forget the work of threads that stayed behind in the parent process."""
        self._lock = threading.Lock()
        self._flight: Flight | None = None

    @property
    def current(self) -> Flight | None:
        """The flight under way."""
        return self._flight

    def launch(self, work: Callable[[], None]) -> tuple[Flight, bool]:
        """The flight under way, or a new one for ``work``; and whether it is new."""
        with self._lock:
            if self._flight is not None:
                return self._flight, False
            flight = self._flight = Flight(self._clock.monotonic())
        try:
            self._spawn(lambda: self._fly(flight, work))
        except RuntimeError:  # No further thread can start, as at the end of the process.
            self._land(flight)
        except BaseException:
            # Or else it would be under way for ever, and no other could start.
            self._land(flight)
            raise
        return flight, True

    def wait(self, flight: Flight, seconds: float) -> None:
        """Wait for a flight until ``seconds`` after its start."""
        flight.landed.wait(flight.started_at + seconds - self._clock.monotonic())

    def _fly(self, flight: Flight, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._land(flight)

    def _land(self, flight: Flight) -> None:
        with self._lock:
            if self._flight is flight:
                self._flight = None
        flight.landed.happen()


_all: weakref.WeakSet[Flights] = weakref.WeakSet()


def _after_fork() -> None:
    for flights in tuple(_all):
        flights.abandon()


os.register_at_fork(after_in_child=_after_fork)
