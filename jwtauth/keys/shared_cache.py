"""What the processes of a deployment share about one issuer, through a Django cache.

Four entries of JSON text: ``jwks`` is the last document that a process fetched. ``failure`` is the
last failed fetch, until one succeeds. ``lease`` names the process that fetches now, or the back-off
after a failure. ``claim`` names the last fetch that an unknown key or a bad signature caused.

Their content is untrusted: malformed or huge entries and entries of another schema count as
missing. Nothing here raises. A cache that fails or hangs counts as empty and grants every lease and
claim, so each process fetches on its own.

Background refreshes and commands call the cache. Requests never do. ``cache_worker`` limits how
long a call may take.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from typing import Any, Final, NamedTuple, TypeVar

from django.core.cache import BaseCache

from .cache_worker import worker_for
from .state import CachePolicy, Failure

T = TypeVar("T")

_SCHEMA: Final = 3
_MAX_TEXT: Final = 512 * 1024
_MAX_ENTRY: Final = 2 * _MAX_TEXT + 4096  # JSON text in JSON: each quote gets a backslash.
_MAX_ID: Final = 64
_MAX_REASON: Final = 500
_MAX_COUNT: Final = 2**31
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


class SharedView(NamedTuple):
    """What the cache holds at one moment; ``claim`` is the id of the claim that is held.

    The lease is held by a process that is ``fetching``, or by all processes ``backing_off``.
    """

    document: SharedDocument | None = None
    failure: Failure | None = None
    claim: str | None = None
    fetching: bool = False
    backing_off: bool = False


class _Holder(NamedTuple):
    """Who holds the lease or the claim.

    When its fetch is over, the claim remains if it was answered, the lease as a back-off if not.
    """

    id: str
    fetching: bool


Entry = TypeVar("Entry", SharedDocument, Failure, _Holder)


def _is_printable(value: object, limit: int) -> bool:
    # It is logged, where a line break would forge a line.
    return isinstance(value, str) and 0 < len(value) <= limit and value.isprintable()


_CHECKS: Final[dict[str, Callable[[Any], bool]]] = {
    "id": lambda value: _is_printable(value, _MAX_ID),
    "text": lambda value: isinstance(value, str) and 0 < len(value) <= _MAX_TEXT,
    "fetched_at": lambda value: type(value) in (int, float) and 0 < value <= _LATEST,
    "claim": lambda value: value is None or _is_printable(value, _MAX_ID),
    "failures": lambda value: type(value) is int and 0 < value <= _MAX_COUNT,
    "answered": lambda value: isinstance(value, bool),
    "reason": lambda value: _is_printable(value, _MAX_REASON),
    "fetching": lambda value: isinstance(value, bool),
}
"""What each member of an entry must be. Fields without a check are not shared."""


def _write(value: NamedTuple) -> str:
    members = {name: each for name, each in value._asdict().items() if name in _CHECKS}
    return json.dumps({"schema": _SCHEMA, **members}, ensure_ascii=False)


def _read(entry: object, kind: type[Entry]) -> Entry | None:
    """Return the content of an entry, or ``None`` if no process of this schema wrote it."""
    if not isinstance(entry, str) or len(entry) > _MAX_ENTRY:
        return None
    try:
        content = json.loads(entry)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
        return None
    members: Any = {name: content.get(name) for name in kind._fields if name in _CHECKS}
    is_valid = all(_CHECKS[name](value) for name, value in members.items())
    return kind(**members) if is_valid else None


class JWKSCache:
    """One issuer's part of the Django cache ``alias``, and the lease and claim of this process."""

    def __init__(
        self,
        alias: str,
        issuer: str,
        location: str,
        policy: CachePolicy,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._alias = alias
        # An issuer may be longer than a cache key, or contain what Memcached rejects.
        digest = hashlib.sha256(json.dumps([issuer, location]).encode()).hexdigest()[:40]
        self._prefix = f"jwtauth:{_SCHEMA}:{digest}"
        self.policy = policy
        self._monotonic = monotonic
        self._mine: dict[str, str] = {}
        self._first_seen: dict[str, tuple[_Holder | None, float]] = {}

    def warm_up(self) -> None:
        """Import the client and connect, which may take seconds; later calls take at most 0.5 s."""
        if not worker_for(self._alias).is_warm:
            self.read()

    def read(self) -> SharedView:
        """Read all entries at once."""
        keys = [self._key(name) for name in ("jwks", "failure", "lease", "claim")]
        # Copied in the job: a client that returns anything else fails there.
        entries: dict[str, Any] = self._run(lambda cache: dict(cache.get_many(keys)), {}, "read")
        jwks, failure, lease, claim = (entries.get(key) for key in keys)
        leaseholder, claimant = self._holder("lease", lease), self._holder("claim", claim)
        return SharedView(
            _read(jwks, SharedDocument),
            _read(failure, Failure),
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

    def release_lease(self) -> None:
        """Release the lease early, unless another process holds it by now."""
        # It proves nothing about writing, unless there is something to delete.
        self._run(lambda cache: self._release(cache, "lease"), None, "read")

    def publish(self, document: SharedDocument) -> None:
        """Share a document, release the lease, and hold the claim from its answer on."""
        answered_at = self._monotonic()

        def write(cache: BaseCache) -> None:
            self._set(cache, "jwks", document, self.policy.ttl + self.policy.stale_ttl)
            if document.claim is not None and document.claim == self._mine.get("claim"):
                answered = _Holder(document.claim, fetching=False)
                self._set(cache, "claim", answered, self.policy.cooldown)
                if self._monotonic() > answered_at + _GRACE:
                    # The cache hung, and would hold the claim for too long after the answer.
                    cache.delete(self._key("claim"))
            cache.delete(self._key("failure"))
            # A success also ends a back-off.
            if not self._is_another_fetching(cache):
                cache.delete(self._key("lease"))

        self._run(write, None)
        self._mine.clear()

    def report_failure(self, failure: Failure) -> None:
        """Share a failure, release the claim, and let no process fetch during the back-off."""

        def write(cache: BaseCache) -> None:
            self._set(cache, "failure", failure, self.policy.ttl + self.policy.stale_ttl)
            self._release(cache, "claim")
            if not self._is_another_fetching(cache):
                retry_in = failure.next_try_at - failure.failed_at
                self._set(cache, "lease", _Holder(failure.id, fetching=False), retry_in)

        self._run(write, None)
        self._mine.clear()

    def problem(self) -> str | None:
        """Return what goes wrong when a value is written, read and deleted, or ``None``."""
        key = self._key(f"trial-{secrets.token_hex(8)}")

        def is_kept(cache: BaseCache) -> bool:
            cache.set(key, key, 1)
            is_found: bool = cache.get(key) == key
            cache.delete(key)
            return is_found

        try:
            is_found = worker_for(self._alias).run(is_kept)
        except TimeoutError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - cache clients raise anything.
            return f"{type(error).__name__}: {error}"
        return None if is_found else "it does not give back what is put in"

    def _run(self, job: Callable[[BaseCache], T], otherwise: T, action: str = "written") -> T:
        """Return what the job returns, or ``otherwise`` if the cache fails or hangs."""
        return worker_for(self._alias).call(job, otherwise, action)

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    def _acquire(self, name: str, seconds: float) -> str | None:
        mine = _Holder(secrets.token_hex(8), fetching=True)

        def add(cache: BaseCache) -> bool:
            if cache.add(self._key(name), _write(mine), _whole(seconds)):
                return True
            holder = None
            # An entry that the client cannot decode is junk, too.
            with suppress(Exception):
                holder = self._current(cache, name)
            if holder is None:
                self._set(cache, name, mine, seconds)
            # It is mine if the first attempt of this job reached the cache and its answer was lost.
            return holder is None or holder == mine

        if not self._run(add, otherwise=True):
            return None
        self._mine[name] = mine.id
        return mine.id

    def _current(self, cache: BaseCache, name: str) -> _Holder | None:
        return self._holder(name, cache.get(self._key(name)))

    def _holder(self, name: str, entry: object) -> _Holder | None:
        """Return the holder in this entry, unless it should be gone: some caches expire nothing."""
        holder, now = _read(entry, _Holder), self._monotonic()
        known, since = self._first_seen.get(name, (None, now))
        if holder != known:
            since = now
        self._first_seen[name] = holder, since
        longest_hold = max(self.policy.cooldown, self.policy.timeout, 1) + _GRACE
        return holder if now <= since + longest_hold else None

    def _set(self, cache: BaseCache, name: str, value: NamedTuple, seconds: float) -> None:
        cache.set(self._key(name), _write(value), _whole(seconds))

    def _is_another_fetching(self, cache: BaseCache) -> bool:
        holder = self._current(cache, "lease")
        return holder is not None and holder.fetching and holder.id != self._mine.get("lease")

    def _release(self, cache: BaseCache, name: str) -> None:
        holder = self._current(cache, name)
        if holder is not None and holder.id == self._mine.get(name):
            cache.delete(self._key(name))


def _whole(seconds: float) -> int:
    # Memcached and Redis count whole seconds, and take 0 for "forever" or for "at once".
    return max(1, ceil(seconds))
