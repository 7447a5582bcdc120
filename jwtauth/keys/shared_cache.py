"""What the processes of a deployment share about one issuer, through a Django cache.

Four entries of JSON text: ``jwks`` is the last document that a process fetched. ``failure`` is the
last failed fetch, until one succeeds. ``lease`` names the process that fetches now, or the back-off
after a failure. ``claim`` names the last fetch that an unknown key or a bad signature caused.

Their content is untrusted: malformed or huge entries and those of another schema count as missing.
Nothing here raises. A cache that fails or hangs counts as empty and grants every lease and claim.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from contextlib import suppress
from math import ceil
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeGuard, TypeVar

from .cache_worker import worker_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.core.cache.backends.base import BaseCache

    Monotonic = Callable[[], float]
    T = TypeVar("T")

_SCHEMA: Final = 2
_MAX_TEXT: Final = 512 * 1024
_MAX_ENTRY: Final = 2 * _MAX_TEXT + 4096  # JSON text in JSON: each quote gets a backslash.
_MAX_ID: Final = 64
_MAX_REASON: Final = 200
_MAX_COUNT: Final = 2**31
_EARLIEST: Final = 10**8
_LATEST: Final = 10**10
_GRACE: Final = 1.0


class SharedDocument(NamedTuple):
    """A JWKS and the fetch that returned it.

    ``fetched_at`` is the Unix time of the host that fetched, less the ``Age`` of the response.
    ``claim`` is the claim that this fetch answered, or an earlier one of the same keys.
    """

    id: str
    text: str
    fetched_at: float
    claim: str | None


class SharedFailure(NamedTuple):
    """The last of ``failures`` failed fetches in a row.

    ``answered``: the issuer answered with a JWKS that has no usable key.
    """

    id: str
    failures: int
    answered: bool
    reason: str


class SharedView(NamedTuple):
    """What the cache holds at one moment; ``claim`` is the id of the claim that is held.

    The lease is held by a process that is ``fetching``, or by all processes ``backing_off``.
    """

    document: SharedDocument | None = None
    failure: SharedFailure | None = None
    claim: str | None = None
    fetching: bool = False
    backing_off: bool = False


class _Holder(NamedTuple):
    """Who holds the lease or the claim, for at most ``seconds`` after it was written.

    When its fetch is over, the claim remains if it was answered, the lease as a back-off if not.
    """

    id: str
    seconds: int
    fetching: bool


_Entry: TypeAlias = SharedDocument | SharedFailure | _Holder


class JWKSCache:
    """One issuer's part of the Django cache ``alias``.

    No process holds the lease or the claim for more than ``longest_hold`` seconds.
    """

    def __init__(
        self,
        alias: str,
        issuer: str,
        location: str,
        *,
        longest_hold: float = 3600,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._alias = alias
        # An issuer may be longer than a cache key, or contain what Memcached rejects.
        digest = hashlib.sha256(json.dumps([issuer, location]).encode()).hexdigest()[:40]
        self._prefix = f"jwtauth:{_SCHEMA}:{digest}"
        self._longest_hold = longest_hold
        self._monotonic = monotonic
        self._first_seen: dict[str, tuple[object, float]] = {}

    def warm_up(self) -> None:
        """Import the client and connect, which may take seconds; later calls take at most 0.5 s."""
        if not worker_for(self._alias).is_warm:
            self.read()

    def read(self) -> SharedView:
        """Read all entries at once."""
        keys = [self._key(name) for name in ("jwks", "failure", "lease", "claim")]
        # Copied in the job: a client that returns anything else fails there.
        entries: dict[str, Any] = self._run(lambda cache: dict(cache.get_many(keys)), {})
        jwks, failure, lease, claim = (entries.get(key) for key in keys)
        leaseholder, claimant = self._holder("lease", lease), self._holder("claim", claim)
        return SharedView(
            _document(jwks),
            _failure(failure),
            None if claimant is None else claimant.id,
            fetching=leaseholder is not None and leaseholder.fetching,
            backing_off=leaseholder is not None and not leaseholder.fetching,
        )

    def acquire_lease(self, seconds: float) -> str | None:
        """Return the id of the lease to fetch, or ``None`` if another process holds it."""
        return self._acquire("lease", seconds)

    def claim_refetch(self, seconds: float) -> str | None:
        """Return the id of the claim to ask the issuer, or ``None`` if another one is held."""
        return self._acquire("claim", seconds)

    def publish(
        self,
        document: SharedDocument,
        *,
        keep_for: float,
        claim_for: float | None,
        lease: str | None,
    ) -> None:
        """Share a document, hold its claim for ``claim_for`` seconds, and release the lease."""

        def write(cache: BaseCache) -> None:
            self._set(cache, "jwks", document, keep_for)
            if claim_for is not None and document.claim is not None:
                claim = _Holder(document.claim, _whole(claim_for), fetching=False)
                self._set(cache, "claim", claim, claim_for)
            cache.delete(self._key("failure"))
            # A success also ends a back-off.
            holder = self._current(cache, "lease")
            if holder is not None and (holder.id == lease or not holder.fetching):
                cache.delete(self._key("lease"))

        self._run(write, None)

    def report_failure(
        self,
        failure: SharedFailure,
        *,
        keep_for: float,
        retry_in: float,
        claim: str | None,
        lease: str | None,
    ) -> None:
        """Share a failure, release the claim, and let no process fetch for ``retry_in`` seconds."""
        backoff = _Holder(secrets.token_hex(8), _whole(retry_in), fetching=False)

        def write(cache: BaseCache) -> None:
            self._set(cache, "failure", failure, keep_for)
            self._delete(cache, "claim", claim)
            holder = self._current(cache, "lease")
            if holder is None or holder.id == lease or not holder.fetching:
                self._set(cache, "lease", backoff, retry_in)

        self._run(write, None)

    def release_lease(self, lease: str) -> None:
        """Release a lease early, unless another process holds it by now."""
        self._run(lambda cache: self._delete(cache, "lease", lease), None)

    def problem(self) -> str | None:
        """Return what goes wrong when a value is written, read and deleted, or ``None``."""
        value = secrets.token_hex(8)
        key = self._key(f"trial-{value}")

        def round_trip(cache: BaseCache) -> bool:
            cache.set(key, value, 1)
            is_found: bool = cache.get(key) == value
            cache.delete(key)
            return is_found

        try:
            is_found = worker_for(self._alias).run(round_trip)
        except TimeoutError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - cache clients raise anything.
            return f"{type(error).__name__}: {error}"
        return None if is_found else "it does not give back what is put in"

    def _run(self, job: Callable[[BaseCache], T], otherwise: T) -> T:
        """Return what the job returns, or ``otherwise`` if the cache fails or hangs."""
        return worker_for(self._alias).call(job, otherwise)

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    def _acquire(self, name: str, seconds: float) -> str | None:
        mine = _Holder(secrets.token_hex(8), _whole(seconds), fetching=True)

        def add(cache: BaseCache) -> bool:
            if cache.add(self._key(name), _entry(mine), mine.seconds):
                return True
            holder = None
            # An entry that the client cannot decode is junk, too.
            with suppress(Exception):
                holder = self._current(cache, name)
            if holder is None:
                self._set(cache, name, mine, seconds)
            # It is mine if the first attempt of this job reached the cache and its answer was lost.
            return holder is None or holder.id == mine.id

        return mine.id if self._run(add, otherwise=True) else None

    def _current(self, cache: BaseCache, name: str) -> _Holder | None:
        return self._holder(name, cache.get(self._key(name)))

    def _holder(self, name: str, entry: object) -> _Holder | None:
        """Return the holder in this entry, unless it should be gone: some caches expire nothing."""
        id_, seconds, fetching = _members(entry, _Holder._fields)
        if not _is_id(id_) or not _is_count(seconds) or not isinstance(fetching, bool):
            return None
        now = self._monotonic()
        known, since = self._first_seen.get(name, (None, now))
        if known != entry:
            since = now
        self._first_seen[name] = entry, since
        is_overdue = now - since > min(seconds, self._longest_hold) + _GRACE
        return None if is_overdue else _Holder(id_, seconds, fetching)

    def _set(self, cache: BaseCache, name: str, value: _Entry, seconds: float) -> None:
        cache.set(self._key(name), _entry(value), _whole(seconds))

    def _delete(self, cache: BaseCache, name: str, id_: str | None) -> None:
        holder = None if id_ is None else self._current(cache, name)
        if holder is not None and holder.id == id_:
            cache.delete(self._key(name))


def _entry(value: _Entry) -> str:
    return json.dumps({"schema": _SCHEMA, **value._asdict()}, ensure_ascii=False)


def _members(entry: object, names: tuple[str, ...]) -> list[Any]:
    try:
        content = json.loads(entry) if _is_text(entry, _MAX_ENTRY) else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
        content = {}
    return [content.get(name) for name in names]


def _document(entry: object) -> SharedDocument | None:
    id_, text, fetched_at, claim = _members(entry, SharedDocument._fields)
    is_fit = _is_id(id_) and _is_text(text, _MAX_TEXT) and (claim is None or _is_id(claim))
    if not is_fit or type(fetched_at) not in (int, float):
        return None
    is_sane = _EARLIEST <= fetched_at <= _LATEST
    return SharedDocument(id_, text, float(fetched_at), claim) if is_sane else None


def _failure(entry: object) -> SharedFailure | None:
    id_, failures, answered, reason = _members(entry, SharedFailure._fields)
    is_fit = _is_id(id_) and _is_count(failures) and isinstance(answered, bool)
    return SharedFailure(id_, failures, answered, _printable(reason)) if is_fit else None


def _is_text(value: object, limit: int) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= limit


def _is_id(value: object) -> bool:
    return _is_text(value, _MAX_ID) and value.isprintable()


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value <= _MAX_COUNT


def _printable(reason: object) -> str:
    # It is logged, where a line break would forge a line.
    return reason if _is_text(reason, _MAX_REASON) and reason.isprintable() else "unknown"


def _whole(seconds: float) -> int:
    # Memcached and Redis count whole seconds, and take 0 for "forever" or for "at once".
    return max(1, ceil(seconds))
