"""Django caches for the tests of what processes share, and workers that end with their test."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache

from jwtauth.keys import cache_worker
from jwtauth.keys.shared_cache import JWKSCache, SharedDocument
from jwtauth.keys.state import CachePolicy, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.core.cache import BaseCache

WAIT = 15
"""Seconds after which something that should have happened counts as missing."""

ISSUER = "https://issuer.test"
DOCUMENT = SharedDocument(
    "d0c0000000000001", '{"keys": ["\\u00e4\\n", "ä"]}', 1_000_000_000.5, None
)
FAILURE = Failure("fa11000000000002", 8, answered=True, reason="the issuer is unreachable")


class ScriptedCache(LocMemCache):
    """A cache in memory that calls ``before`` and ``after`` for each of its operations.

    They may raise, wait and count. Every thread has a cache object of its own, so they belong to
    the class. Reset them with ``monkeypatch``.
    """

    settings: ClassVar[dict[str, Any]] = {
        "default": {"BACKEND": "tests.keys.caching.ScriptedCache", "LOCATION": "scripted"}
    }
    before: ClassVar[Callable[[str], None]] = staticmethod(lambda _operation: None)
    after: ClassVar[Callable[[str], None]] = staticmethod(lambda _operation: None)

    def get_many(self, keys: Any, version: int | None = None) -> dict[Any, Any]:
        """Call the hooks once."""
        get = super().get
        entries: dict[Any, Any] = self._do(
            "get_many", lambda: {key: get(key, version=version) for key in keys}
        )
        return {key: value for key, value in entries.items() if value is not None}

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Call the hooks around it."""
        get = super().get
        return self._do("get", lambda: get(key, default, version))

    def set(self, key: Any, value: Any, timeout: Any = 1, version: int | None = None) -> None:
        """Call the hooks around it."""
        put = super().set
        self._do("set", lambda: put(key, value, timeout, version))

    def add(self, key: Any, value: Any, timeout: Any = 1, version: int | None = None) -> bool:
        """Call the hooks around it."""
        add = super().add
        is_new: bool = self._do("add", lambda: add(key, value, timeout, version))
        return is_new

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Call the hooks around it."""
        delete = super().delete
        is_gone: bool = self._do("delete", lambda: delete(key, version))
        return is_gone

    def _do(self, operation: str, usual: Callable[[], Any]) -> Any:
        type(self).before(operation)
        result = usual()
        type(self).after(operation)
        return result


class Gate:
    """Makes calls of the cache hang until it is opened, and tells when one has arrived."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.arrived = threading.Event()
        self._open = threading.Event()

    def __call__(self, operation: str) -> None:
        self.calls.append(operation)
        self.arrived.set()
        assert self._open.wait(WAIT)

    def open(self) -> None:
        """Let all calls continue."""
        self._open.set()


def jwks_cache(
    issuer: str = ISSUER,
    location: str = f"{ISSUER}/jwks",
    cooldown: float = 3600,
) -> JWKSCache:
    """Return what a process has for an issuer, on the default cache."""
    return JWKSCache("default", issuer, location, CachePolicy(cooldown=cooldown))


def publish(cache: JWKSCache, document: SharedDocument = DOCUMENT) -> None:
    """Publish a document."""
    cache.publish(document)


def report(cache: JWKSCache, failure: Failure = FAILURE) -> None:
    """Report a failure."""
    cache.report_failure(failure)


def ask(cache: JWKSCache) -> str:
    """Publish the answer to an asked fetch, and return its id, which is the id of the claim."""
    cache.publish(DOCUMENT._replace(claim=DOCUMENT.id))
    return DOCUMENT.id


def wait_until(condition: Callable[[], object]) -> None:
    """Return when it is true: for servers and other threads, which set no event here."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def disconnect(cache: BaseCache) -> None:
    """Close the connections of a Redis client, before the garbage collector warns of them."""
    pools = getattr(getattr(cache, "_cache", None), "_pools", {})
    for pool in pools.values():
        pool.disconnect()
    cache.close()


def worker_threads() -> list[threading.Thread]:
    """Return the threads of all workers that are alive."""
    return [each for each in threading.enumerate() if each.name.startswith("jwtauth-cache-")]


def end_workers() -> None:
    """End all workers and close their connections."""
    for worker in cache_worker._workers.values():
        worker.call(disconnect, None)
        if worker._jobs is not None:
            worker._jobs.put(None)
    cache_worker._workers.clear()
    disconnect(caches["default"])
    for thread in worker_threads():
        thread.join(WAIT)
        assert not thread.is_alive()


@contextmanager
def own_workers() -> Iterator[None]:
    """Start without workers, and end those that have been started."""
    end_workers()
    yield
    end_workers()
