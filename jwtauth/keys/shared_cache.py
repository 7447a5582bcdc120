"""What the processes of a deployment share about one issuer, through a Django cache.

Four entries: the JWKS as it was fetched; the last failure, while it lasts; the lease of the one
that fetches now; and the mark of the last fetch that a token caused. Nothing that comes out of the
cache is trusted to be well-formed, and nothing here raises: a cache that fails, hangs or lies is
the same as an empty one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from math import ceil
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from django.core.cache import caches
from django.core.cache.backends.redis import RedisCache
from django.db import connections

from .clock import Clock
from .fetch import usable_etag
from .timeouts import BoundedCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.core.cache.backends.base import BaseCache

T = TypeVar("T")

logger: Final = logging.getLogger("jwtauth")

_SCHEMA: Final = 1
_SECONDS_A_CALL: Final = 0.5
_GRACE: Final = 1.0
_REST: Final = 30.0


class SharedDocument(NamedTuple):
    """A JWKS that some process fetched at ``fetched_at`` (Unix time)."""

    text: str
    fetched_at: float
    etag: str | None


class SharedFailure(NamedTuple):
    """So many fetches in a row failed; the next may start at ``retry_at`` (Unix time).

    ``answered`` tells a well-formed JWKS without a usable key from an issuer that cannot be asked.
    """

    failures: int
    retry_at: float
    answered: bool
    reason: str


class SharedKeys:
    """One issuer's part of the Django cache ``alias``."""

    def __init__(
        self, alias: str, issuer: str, location: str, *, clock: Clock | None = None
    ) -> None:
        self._alias = alias
        self._clock = clock or Clock()
        # A digest: an issuer may be longer than a cache key, or hold what memcached refuses.
        digest = hashlib.sha256(json.dumps([issuer, location]).encode()).hexdigest()[:40]
        self._prefix = f"jwtauth:{_SCHEMA}:{digest}"
        self._stuck: list[BoundedCall[Any]] = []
        self._rests_until = 0.0
        self._well = True
        self._holders: dict[str, tuple[str, float]] = {}

    def document(self) -> SharedDocument | None:
        """The JWKS that was fetched last."""
        value = self._read("jwks")
        text, etag = value.get("text"), value.get("etag")
        fetched_at = _number(value, "fetched_at")
        if not isinstance(text, str) or not isinstance(etag, str | None) or fetched_at is None:
            return None
        # One that cannot be sent would make every further fetch fail.
        return SharedDocument(text, fetched_at, usable_etag(etag))

    def publish(self, document: SharedDocument, seconds: float) -> None:
        """Share a JWKS for ``seconds``; what was said of failures no longer holds."""
        text = json.dumps({"schema": _SCHEMA, **document._asdict()})

        def write(cache: BaseCache) -> None:
            cache.set(self._key("jwks"), text, _whole(seconds))
            cache.delete(self._key("failure"))

        self._call(write, None)

    def failure(self) -> SharedFailure | None:
        """The last failure, while nobody has succeeded since."""
        value = self._read("failure")
        failures, retry_at = _number(value, "failures"), _number(value, "retry_at")
        if failures is None or retry_at is None:
            return None
        return SharedFailure(
            max(1, int(failures)), retry_at, value.get("answered") is True, _reason(value)
        )

    def report(self, failure: SharedFailure, seconds: float) -> None:
        """Share a failure for ``seconds``."""
        text = json.dumps({"schema": _SCHEMA, **failure._asdict()})
        self._call(lambda cache: cache.set(self._key("failure"), text, _whole(seconds)), None)

    def acquire(self, name: str, seconds: float) -> str | None:
        """Take what only one process may have for ``seconds``; ``None`` where another has it.

        The value that comes back is for ``release``. Where the cache cannot tell, it is granted:
        a cache that is down must not keep the keys from being fetched.
        """
        mine = secrets.token_hex(8)

        def add(cache: BaseCache) -> bool:
            key = self._key(name)
            if cache.add(key, mine, _whole(seconds)):
                return True
            holder = cache.get(key)
            return not isinstance(holder, str) or self._is_overdue(name, holder, seconds)

        return mine if self._call(add, otherwise=True) else None

    def _is_overdue(self, name: str, holder: str, seconds: float) -> bool:
        """Whether one and the same holder was met for longer than the cache may keep it."""
        now = self._clock.monotonic()
        known, since = self._holders.get(name, (None, now))
        if holder != known:
            since = now
        self._holders[name] = holder, since
        return now - since > seconds + _GRACE

    def release(self, name: str, mine: str) -> None:
        """Give back early what ``acquire`` gave, unless another has it by now."""

        def delete(cache: BaseCache) -> None:
            if cache.get(self._key(name)) == mine:
                cache.delete(self._key(name))

        self._call(delete, None)

    def problem(self) -> str | None:
        """What goes wrong with a value that is put in, read and deleted; ``None`` for nothing."""
        mine = secrets.token_hex(8)

        def round_trip(cache: BaseCache) -> bool:
            key = self._key(f"trial-{mine}")
            cache.set(key, mine, _whole(_SECONDS_A_CALL))
            is_found: bool = cache.get(key) == mine
            cache.delete(key)
            return is_found

        try:
            is_found = BoundedCall(lambda: self._with_cache(round_trip)).result(_SECONDS_A_CALL)
        except TimeoutError:
            return f"it does not answer within {_SECONDS_A_CALL:g} s"
        except Exception as error:  # noqa: BLE001 - cache clients raise what they like.
            return f"{type(error).__name__}: {error}"
        return None if is_found else "it does not give back what is put in"

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    def _read(self, name: str) -> dict[str, Any]:
        text = self._call(lambda cache: cache.get(self._key(name)), None)
        if not isinstance(text, str):
            return {}
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        if not isinstance(value, dict) or _number(value, "schema") != _SCHEMA:
            return {}
        return value

    def _call(self, operation: Callable[[BaseCache], T], otherwise: T) -> T:
        """What the operation on the cache gives, or ``otherwise`` where it fails or hangs.

        It runs in a thread of its own: a hanging client holds up nobody for long, and a cache in
        the database writes outside of the request's transaction. While a call hangs, the next is
        made after a pause that doubles, since each may leave a thread behind.
        """
        self._stuck = [call for call in self._stuck if call.running]
        if self._stuck and self._clock.monotonic() < self._rests_until:
            return otherwise
        call = BoundedCall(lambda: self._with_cache(operation))
        try:
            result = call.result(_SECONDS_A_CALL)
        except Exception as error:  # noqa: BLE001 - cache clients raise what they like.
            self._stuck.append(call)
            pause = _REST * 2 ** len(self._stuck)
            self._rests_until = self._clock.monotonic() + pause
            self._report_health(well=False, reason=type(error).__name__)
            return otherwise
        self._report_health(well=True)
        return result

    def _with_cache(self, operation: Callable[[BaseCache], T]) -> T:
        cache = caches[self._alias]
        try:
            return operation(cache)
        finally:
            # This thread's own: nobody else closes what it opened.
            cache.close()
            if isinstance(cache, RedisCache):
                # Django leaves these to the garbage collector.
                client: Any = cache._cache  # noqa: SLF001 - there is no other way to them.
                for pool in client._pools.values():  # noqa: SLF001 - likewise.
                    pool.disconnect()
            connections.close_all()

    def _report_health(self, *, well: bool, reason: str = "") -> None:
        if well is self._well:
            return
        self._well = well
        if well:
            logger.info('The cache "%s" works again.', self._alias)
        else:
            logger.warning(
                'The cache "%s" fails (%s): each process fetches keys on its own until it works.',
                self._alias,
                reason,
            )


def _number(value: dict[str, Any], name: str) -> float | None:
    number: Any = value.get(name)
    # Not isfinite(), which raises on an integer beyond the range of a float.
    if type(number) not in (int, float) or not abs(number) < 2**53:
        return None
    return float(number)


def _reason(value: dict[str, Any]) -> str:
    reason = value.get("reason")
    # It goes to the log, where a line break would forge a line.
    return reason if isinstance(reason, str) and reason.isprintable() else "unknown"


def _whole(seconds: float) -> int:
    # Memcached and Redis count whole seconds, and take 0 for never or for at once.
    return max(1, ceil(seconds))
