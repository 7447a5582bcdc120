"""Call a Django cache, which may hang, with a time limit.

A process has one thread and one connection for each Django cache that holds shared keys.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from importlib import import_module
from queue import SimpleQueue
from typing import Any, Final, TypeAlias, TypeVar

from django.core.cache import BaseCache, caches
from django.core.cache.backends.redis import RedisCache
from django.db import close_old_connections

T = TypeVar("T")
Job: TypeAlias = Callable[[BaseCache], T]
Jobs: TypeAlias = SimpleQueue[tuple[Future[Any], Job[Any]] | None]

logger: Final = logging.getLogger("jwtauth")

SECONDS_PER_CALL: Final = 0.5
SECONDS_FOR_FIRST_CALL: Final = 5.0
"""The first call connects, while the process, and perhaps many others on its machine, start."""

_PAUSE_AFTER_HANG: Final = 60.0
"""Seconds before a second thread is started while a job hangs. Each further pause is doubled."""


class CacheWorker:
    """Runs jobs on one cache in a daemon thread, one after the other.

    A job that exceeds its time is the last one of its thread. While it hangs, other jobs fail at
    once until a pause is over. Then they run in a new thread.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._lock = threading.Lock()
        self._jobs: Jobs | None = None  # None while no thread waits for jobs.
        self._hanging: Future[Any] | None = None
        self._pause = _PAUSE_AFTER_HANG
        self._paused_until = 0.0
        self._failing_action: str | None = None
        self.is_warm: bool = False

    def call(self, job: Job[T], otherwise: T, action: str = "read") -> T:
        """Return what the job returns, or ``otherwise`` if the cache fails or hangs.

        The log says that the cache cannot be ``action`` until a job with this action succeeds: a
        cache that is full can still be read.
        """
        try:
            result = self.run(job)
        except Exception as error:  # noqa: BLE001 - cache clients raise anything.
            if self._failing_action is None:
                self._failing_action = action
                logger.warning(
                    'The cache "%s" cannot be %s (%s): each process fetches keys on its own until '
                    "it works.",
                    self._alias,
                    action,
                    type(error).__name__,
                )
            return otherwise
        if self._failing_action == action:
            self._failing_action = None
            logger.info('The cache "%s" works again.', self._alias)
        return result

    def run(self, job: Job[T]) -> T:
        """Return what the job returns; raise its exception, or ``TimeoutError`` if it hangs."""
        with self._lock:
            future = self._attempt(job)
            if future.exception():
                future = self._attempt(job)  # The connection may have been stale.
        return future.result()

    def _attempt(self, job: Job[T]) -> Future[T]:
        """Run the job in the thread, and return its outcome."""
        jobs = self._jobs or self._start_thread()
        future: Future[T] = Future()
        jobs.put((future, job))
        seconds = SECONDS_PER_CALL if self.is_warm else SECONDS_FOR_FIRST_CALL
        wait([future], seconds)
        self.is_warm = True
        if not future.done():
            jobs.put(None)
            self._jobs, self._hanging = None, future
            self._paused_until = time.monotonic() + self._pause
            self._pause *= 2
            raise TimeoutError(f"it does not answer within {seconds:g} s")
        self._pause = _PAUSE_AFTER_HANG
        return future

    def _start_thread(self) -> Jobs:
        """Start a thread, unless a job hangs. Raises ``RuntimeError`` if no thread can start."""
        if self._hanging is None or self._hanging.done():
            self._pause = _PAUSE_AFTER_HANG
        elif time.monotonic() < self._paused_until:
            raise TimeoutError("an earlier call still hangs")
        # Django's Redis cache imports its client in the first call, whose time is limited.
        with suppress(Exception):
            if isinstance(caches[self._alias], RedisCache):
                import_module("redis")
        jobs: Jobs = SimpleQueue()
        name = f"jwtauth-cache-{self._alias}"
        threading.Thread(target=_serve, args=(self._alias, jobs), name=name, daemon=True).start()
        self._jobs = jobs
        return jobs


def _serve(alias: str, jobs: Jobs) -> None:
    while (item := jobs.get()) is not None:
        future, job = item
        try:
            future.set_result(job(caches[alias]))
        except BaseException as error:  # noqa: BLE001 - raised in the waiting thread.
            # Memcached's client ignores a failed server for a minute. Redis's reconnects by itself.
            with suppress(Exception):
                cache = caches[alias]
                if type(cache).close is not BaseCache.close:
                    del caches[alias]
                    cache.close()
            future.set_exception(error)
        with suppress(Exception):
            close_old_connections()  # A cache in a database uses them.
        # An idle thread keeps no results alive.
        del item, future, job
    caches.close_all()


_workers: Final[dict[str, CacheWorker]] = {}


def worker_for(alias: str) -> CacheWorker:
    """Return this process's worker for the cache with this alias."""
    # setdefault() is atomic: two threads get the same worker.
    return _workers.get(alias) or _workers.setdefault(alias, CacheWorker(alias))


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    # A child has none of its parent's threads, and its locks may be held.
    os.register_at_fork(after_in_child=_workers.clear)
