"""One thread and one connection per process for each Django cache that holds shared keys."""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import Future, wait
from contextlib import suppress
from importlib import import_module
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from django.core.cache import BaseCache, caches
from django.core.cache.backends.redis import RedisCache
from django.db import close_old_connections, connections

if TYPE_CHECKING:
    from collections.abc import Callable

    T = TypeVar("T")
    Jobs: TypeAlias = SimpleQueue[tuple[Future[Any], Callable[[BaseCache], Any]] | None]

logger: Final = logging.getLogger("jwtauth")

SECONDS_PER_CALL: Final = 0.5
SECONDS_FOR_FIRST_CALL: Final = 5.0
SECONDS_FOR_IMPORT: Final = 30.0
"""The first call connects, after its thread has imported the client: both while the process, and
perhaps many others on the same machine, start."""

_PAUSE: Final = 60.0
_TRIAL_KEY: Final = "jwtauth:trial"


class CacheWorker:
    """Runs jobs on one cache in a daemon thread, one after the other.

    A thread whose job hangs is replaced after a pause, which doubles with each thread that hangs.
    If the job ends before, the thread goes on.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._lock = Lock()
        self._jobs: Jobs = SimpleQueue()
        self._has_thread = False
        self._hanging: Future[Any] | None = None
        self._abandoned: list[Future[Any]] = []
        self._replace_at = 0.0
        self._is_imported = Event()
        self.is_warm: bool = False
        self._is_failing = False

    def call(self, job: Callable[[BaseCache], T], otherwise: T) -> T:
        """Return what the job returns, or ``otherwise`` if the cache fails or hangs."""
        try:
            result = self.run(job)
        except Exception as error:  # noqa: BLE001 - cache clients raise anything.
            self._log_failure(error)
            return otherwise
        self._log_recovery()
        return result

    def run(self, job: Callable[[BaseCache], T]) -> T:
        """Return what the job returns; raise its exception, or ``TimeoutError`` if it hangs."""
        future = self._submit(job)
        self._is_imported.wait(SECONDS_FOR_IMPORT)
        seconds = SECONDS_PER_CALL if self.is_warm else SECONDS_FOR_FIRST_CALL
        wait([future], seconds)
        self.is_warm = True
        # It can be cancelled if it never started, because a job of another thread takes too long.
        is_hanging = not future.cancel() and not future.done()
        if is_hanging:
            self._give_up(future)
        if is_hanging or future.cancelled():
            raise TimeoutError(f"it does not answer within {seconds:g} s")
        return future.result()

    def _submit(self, job: Callable[[BaseCache], T]) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            if self._hanging is not None and not self._hanging.done():
                if time.monotonic() < self._replace_at:
                    raise TimeoutError("an earlier call still hangs")
                self._abandon(self._hanging)
            self._hanging = None
            if not self._has_thread:
                name = f"jwtauth-cache-{self._alias}"
                arguments = self._alias, self._jobs, self._is_imported
                # Raises RuntimeError if no thread can start.
                Thread(target=_serve, args=arguments, name=name, daemon=True).start()
                self._has_thread = True
            self._jobs.put((future, job))
        return future

    def _give_up(self, future: Future[Any]) -> None:
        with self._lock:
            self._hanging = future
            self._abandoned = [each for each in self._abandoned if not each.done()]
            self._replace_at = time.monotonic() + _PAUSE * 2 ** len(self._abandoned)

    def _abandon(self, future: Future[Any]) -> None:
        self._abandoned.append(future)
        # Its thread ends when the job does.
        self._jobs.put(None)
        self._jobs, self._has_thread = SimpleQueue(), False

    def _log_failure(self, error: Exception) -> None:
        if self._switch(failing=True):
            can_read = self._succeeds(lambda cache: cache.get(_TRIAL_KEY))
            logger.warning(
                'The cache "%s" cannot be %s (%s): each process fetches keys on its own until it '
                "works.",
                self._alias,
                "written" if can_read else "read",
                type(error).__name__,
            )

    def _log_recovery(self) -> None:
        # A cache that is full can be read, so a job that only reads proves nothing.
        if (
            self._is_failing
            and self._succeeds(lambda cache: cache.set(_TRIAL_KEY, "", 1))
            and self._switch(failing=False)
        ):
            logger.info('The cache "%s" works again.', self._alias)

    def _succeeds(self, job: Callable[[BaseCache], Any]) -> bool:
        try:
            self.run(job)
        except Exception:  # noqa: BLE001 - cache clients raise anything.
            return False
        return True

    def _switch(self, *, failing: bool) -> bool:
        """Set whether the cache is failing, and return whether that is new."""
        with self._lock:
            is_new = self._is_failing is not failing
            self._is_failing = failing
        return is_new


class _Client:
    """The worker thread's own object for a cache, with its connection."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._is_proven = False

    def import_library(self) -> None:
        """Import what talks to the server. Django's Redis cache does not until its first call."""
        if isinstance(caches[self._alias], RedisCache):
            import_module("redis")

    def perform(self, job: Callable[[BaseCache], T]) -> T:
        """Run the job, and once more if the connection worked before: it may be stale."""
        try:
            return self._attempt(job)
        except Exception:
            if not self._is_proven:
                raise
        self._is_proven = False
        return self._attempt(job)

    def _attempt(self, job: Callable[[BaseCache], T]) -> T:
        close_old_connections()
        cache = caches[self._alias]
        try:
            result = job(cache)
        except Exception:
            # Memcached's client ignores a failed server for a minute. Redis's reconnects by itself.
            if type(cache).close is not BaseCache.close:
                with suppress(Exception):
                    del caches[self._alias]
                    cache.close()
            raise
        finally:
            close_old_connections()
        self._is_proven = True
        return result


def _serve(alias: str, jobs: Jobs, is_imported: Event) -> None:
    client = _Client(alias)
    # A client that cannot be imported fails again in the first job.
    with suppress(Exception):
        client.import_library()
    is_imported.set()
    while (item := jobs.get()) is not None:
        future, job = item
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(client.perform(job))
            except BaseException as error:  # noqa: BLE001 - raised in the waiting thread.
                future.set_exception(error)
        # An idle thread keeps no results alive.
        del item, future, job
    with suppress(Exception):
        caches.close_all()
        connections.close_all()


_workers: Final[dict[str, CacheWorker]] = {}


def worker_for(alias: str) -> CacheWorker:
    """Return this process's worker for the cache with this alias."""
    # setdefault() is atomic: two threads get the same worker.
    return _workers.get(alias) or _workers.setdefault(alias, CacheWorker(alias))


if hasattr(os, "register_at_fork"):
    # A child has none of its parent's threads, and its locks may be held.
    os.register_at_fork(after_in_child=_workers.clear)
