"""What the processes of a deployment share about one issuer, through a Django cache.

Each fetch has a random id, and there are four entries. ``jwks`` is the last document that a process
fetched. ``failure`` is the last failed fetch, until one succeeds. ``lease`` is the id of the fetch
in progress, or of the failed fetch whose back-off lasts. ``claim`` is the id of the last asked
fetch that was answered: an unknown key or a bad signature caused it.

Their content is untrusted: malformed or huge entries and entries of another schema count as
missing. Nothing here raises. A cache that fails or hangs counts as empty and grants every lease, so
each process fetches on its own.

Background refreshes and commands call the cache. Requests never do. ``cache_worker`` limits how
long a call may take.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from time import monotonic
from typing import Any, Final, NamedTuple, TypeVar

from django.core.cache import BaseCache

from .cache_worker import worker_for
from .state import CachePolicy, Failure

T = TypeVar("T")

_SCHEMA: Final = 4
_ID: Final = re.compile("[0-9a-f]{16}")
_MAX_TEXT: Final = 512 * 1024
_MAX_ENTRY: Final = 2 * _MAX_TEXT + 4096  # JSON text in JSON: each quote gets a backslash.
_MAX_REASON: Final = 500
_GRACE: Final = 1.0


class SharedDocument(NamedTuple):
    """A JWKS and the fetch that returned it.

    ``fetched_at`` is the Unix time of the host that fetched, less the ``Age`` of the response.
    ``claim`` is the id of this fetch if it was an asked one, or of an earlier asked fetch.
    """

    id: str
    text: str
    fetched_at: float
    claim: str | None


Entry = TypeVar("Entry", SharedDocument, Failure)


class SharedView(NamedTuple):
    """What the cache holds at one moment. The lease of a failure is its back-off."""

    document: SharedDocument | None = None
    failure: Failure | None = None
    lease: str | None = None
    claim: str | None = None


def new_id() -> str:
    """Return a random id for a fetch."""
    return secrets.token_hex(8)


def _read_id(entry: object) -> str | None:
    return entry if isinstance(entry, str) and _ID.fullmatch(entry) else None


_CHECKS: Final[dict[str, Callable[[Any], bool]]] = {
    "id": lambda value: _read_id(value) is not None,
    "text": lambda value: isinstance(value, str) and 0 < len(value) <= _MAX_TEXT,
    "fetched_at": lambda value: type(value) in (int, float) and 0 < value <= 10**10,
    "claim": lambda value: value is None or _read_id(value) is not None,
    "failures": lambda value: type(value) is int and 0 < value <= 2**31,
    "answered": lambda value: isinstance(value, bool),
    # It is logged, where a line break would forge a line.
    "reason": lambda value: (
        isinstance(value, str) and 0 < len(value) <= _MAX_REASON and value.isprintable()
    ),
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
    """One issuer's part of the Django cache ``alias``."""

    def __init__(self, alias: str, issuer: str, location: str, policy: CachePolicy) -> None:
        self._alias = alias
        # An issuer may be longer than a cache key, or contain what Memcached rejects.
        digest = hashlib.sha256(json.dumps([issuer, location]).encode()).hexdigest()[:40]
        self._prefix = f"jwtauth:{_SCHEMA}:{digest}"
        self.policy = policy
        self._lifetime = policy.ttl + policy.stale_ttl

    @property
    def is_connected(self) -> bool:
        """Whether this process has called the cache before."""
        return worker_for(self._alias).is_warm

    def read(self) -> SharedView:
        """Read all entries at once.

        The first call of a process imports the client and connects, which may take seconds. Each
        later attempt takes at most 0.5 s, and a call that fails is attempted twice.
        """
        keys = [self._key(name) for name in ("jwks", "failure", "lease", "claim")]
        # Copied in the job: a client that returns anything else fails there.
        entries: dict[str, Any] = self._run(lambda cache: dict(cache.get_many(keys)), {}, "read")
        jwks, failure, lease, claim = (entries.get(key) for key in keys)
        return SharedView(
            _read(jwks, SharedDocument), _read(failure, Failure), _read_id(lease), _read_id(claim)
        )

    def acquire_lease(self, seconds: float) -> str | None:
        """Return the id of a fetch that may start, or ``None`` if another one holds the lease."""
        mine = new_id()

        def add(cache: BaseCache) -> bool:
            if cache.add(self._key("lease"), mine, _whole(seconds)):
                return True
            holder = None
            # An entry that the client cannot decode is junk, too.
            with suppress(Exception):
                holder = self._leaseholder(cache)
            if holder is None:
                self._set(cache, "lease", mine, seconds)
            # It is mine if only the answer to an earlier attempt was lost.
            return holder in (None, mine)

        return mine if self._run(add, otherwise=True) else None

    def take_lease(self, seconds: float) -> str:
        """Return the id of a fetch that may start. Whoever holds the lease loses it."""
        mine = new_id()
        self._run(lambda cache: self._set(cache, "lease", mine, seconds), None)
        return mine

    def release_lease(self, lease: str) -> None:
        """Release this lease early, unless another fetch holds it by now."""
        # It proves nothing about writing, unless there is something to delete.
        self._run(lambda cache: self._release(cache, lease), None, "read")

    def publish(self, document: SharedDocument) -> None:
        """Share a document; hold the claim if it answers an asked fetch, and release the lease."""
        answered_at = monotonic()

        def write(cache: BaseCache) -> None:
            self._set(cache, "jwks", _write(document), self._lifetime)
            if document.claim == document.id:
                self._set(cache, "claim", document.id, self.policy.cooldown)
                if monotonic() > answered_at + _GRACE:
                    # The cache hung, and would hold the claim for too long after the answer.
                    cache.delete(self._key("claim"))
            cache.delete(self._key("failure"))
            self._release(cache, document.id)

        self._run(write, None)

    def report_failure(self, failure: Failure) -> None:
        """Share a failure, and let no process fetch during the back-off."""

        def write(cache: BaseCache) -> None:
            self._set(cache, "failure", _write(failure), self._lifetime)
            if self._leaseholder(cache) in (None, failure.id):
                self._set(cache, "lease", failure.id, self.policy.backoff(failure.failures))

        self._run(write, None)

    def problem(self) -> str | None:
        """Return what goes wrong when a value is written, read and deleted, or ``None``."""
        key = self._key(f"trial-{new_id()}")

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

    def _set(self, cache: BaseCache, name: str, entry: str, seconds: float) -> None:
        cache.set(self._key(name), entry, _whole(seconds))

    def _leaseholder(self, cache: BaseCache) -> str | None:
        return _read_id(cache.get(self._key("lease")))

    def _release(self, cache: BaseCache, lease: str) -> None:
        if self._leaseholder(cache) == lease:
            cache.delete(self._key("lease"))


def _whole(seconds: float) -> int:
    # Memcached and Redis count whole seconds, and take 0 for "forever" or for "at once".
    return max(1, ceil(seconds))
