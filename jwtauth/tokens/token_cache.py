"""Verified tokens that a process caches, so that each signature is verified once.

A cached token is not simply accepted: its times, its audience for this request and its key are
checked each time. Rejections are never cached.
"""

import marshal
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .claims import Claims
from .jwks import KeySet, VerificationKey
from .trusted_issuer import KeySearch, TrustedIssuer


@dataclass(slots=True)
class CachedToken:
    """The claims of a verified token, and what each further use of it depends on.

    The token is valid from ``starts_at`` until ``ends_at``, in Unix time. ``keys`` is the last set
    that was found to contain ``key``.
    """

    serialized_claims: bytes
    issuer: TrustedIssuer
    key: VerificationKey
    starts_at: float
    ends_at: float
    keys: KeySet | None = None

    def claims(self, now: float, request: Any, search: KeySearch | None) -> Claims | None:
        """Return the claims, in a dict that belongs to the caller; ``None`` if they are outdated.

        Raises ``TokenError`` for another audience, and what ``current`` of the keys raises.
        """
        if not self.starts_at <= now < self.ends_at:
            return None
        keys = self.issuer.keys.current(search)
        if keys is not self.keys:
            if self.key not in keys:
                return None
            self.keys = keys
        # Serialized, so that each request gets a copy for the price of one load.
        claims: Claims = marshal.loads(self.serialized_claims)  # noqa: S302 - our own dumps(), never input.
        if self.issuer.claims.audience_depends_on_request:
            self.issuer.claims.check_audience(claims, request)
        return claims


class TokenCache:
    """At most ``size`` verified tokens by digest; the least recently used is dropped first.

    Threads share it without a lock: each step is one operation of ``OrderedDict`` that CPython
    does not interrupt, and the worst result of a race is a token that is verified once more.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._tokens: OrderedDict[bytes, CachedToken] = OrderedDict()

    def get(self, digest: bytes) -> CachedToken | None:
        """Return the token with this digest, which becomes the most recently used one."""
        # Looked up first: most tokens are new, and an exception costs more than a lookup.
        token = self._tokens.get(digest)
        if token is not None:
            try:
                self._tokens.move_to_end(digest)
            except KeyError:  # Another thread has just dropped it.
                return None
        return token

    def put(self, digest: bytes, token: CachedToken) -> None:
        """Cache a token."""
        self._tokens[digest] = token
        if len(self._tokens) > self._size:
            with suppress(KeyError):  # Other threads have dropped all of them.
                self._tokens.popitem(last=False)

    def discard(self, digest: bytes) -> None:
        """Drop a token."""
        self._tokens.pop(digest, None)
