"""Caches for the commands to judge."""

from __future__ import annotations

import threading
from typing import Any

from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache

answers = threading.Event()
"""Set by a test when hanging calls may end."""


class SharedCache(BaseCache):
    """Stands in for a cache on a server, which all processes of a deployment share."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._server = LocMemCache(location, params)

    def add(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> bool:
        self.reach()
        return self._server.add(key, value, *args, **kwargs)

    def get(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        self.reach()
        return self._server.get(key, *args, **kwargs)

    def set(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> None:
        self.reach()
        self._server.set(key, value, *args, **kwargs)

    def delete(self, key: Any, *args: Any, **kwargs: Any) -> bool:
        self.reach()
        return self._server.delete(key, *args, **kwargs)

    def reach(self) -> None:
        """Connect to the server."""

    def clear(self) -> None:
        self._server.clear()

    def keys(self) -> list[str]:
        """The keys of all that is in it."""
        return [*self._server._cache]  # type: ignore[attr-defined]


class BrokenCache(SharedCache):
    """Its server is away."""

    def reach(self) -> None:
        raise ConnectionError("nobody\nlistens")


class ForgetfulCache(SharedCache):
    """Its server takes everything and keeps nothing."""

    def reach(self) -> None:
        self.clear()


class HungCache(SharedCache):
    """Its server does not answer."""

    def reach(self) -> None:
        answers.wait()
