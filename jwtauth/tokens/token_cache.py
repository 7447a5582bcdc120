"""Verified tokens that a process caches, so that each signature is verified once.

A cached token is not simply accepted: its times, its audience for this request and its key are
checked each time. Rejections are never cached.
"""

from __future__ import annotations

import marshal
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from jwtauth.exceptions import KeysUnavailable, TokenError

from .claims import starts_at

if TYPE_CHECKING:
    from .claims import Claims
    from .jwks import VerificationKey
    from .trusted_issuer import KeySearch, TrustedIssuer


class CachedToken:
    """The claims of a verified token, and what each further use of it depends on."""

    __slots__ = ("_claims", "_ends_at", "_issuer", "_key", "_keys", "_starts_at")

    def __init__(self, claims: Claims, issuer: TrustedIssuer, key: VerificationKey) -> None:
        leeway = issuer.claims.leeway
        # Serialized, so that each request gets a copy for the price of one load.
        self._claims = marshal.dumps(claims)
        self._starts_at = starts_at(claims) - leeway
        self._ends_at = claims["exp"] + leeway
        self._issuer = issuer
        self._key = key
        self._keys: object = None

    def claims(self) -> Claims:
        """Return the claims, in a dict that belongs to the caller."""
        claims: Claims = marshal.loads(self._claims)  # noqa: S302 - our own dumps(), never input.
        return claims

    def is_valid(self, now: float, request: Any, search: KeySearch | None) -> bool:
        """Whether the token may still be accepted. Raises what ``current`` of its keys raises."""
        if not self._starts_at <= now < self._ends_at:
            return False
        try:
            keys = self._issuer.keys.current(search)
        except KeysUnavailable as error:
            error.issuer = self._issuer.url
            raise
        if keys is not self._keys:
            if self._key not in keys:
                return False
            self._keys = keys
        policy = self._issuer.claims
        if policy.audience_depends_on_request:
            try:
                policy.check_audience(self.claims(), request)
            except TokenError:
                return False
        return True


class TokenCache:
    """At most ``size`` verified tokens by digest; the least recently used is dropped first.

    Threads share it without a lock: each step is one operation of ``OrderedDict`` that CPython
    does not interrupt, and the worst result of a race is a token that is verified once more.
    """

    __slots__ = ("_size", "_tokens")

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
        if self._size:
            self._tokens[digest] = token
            while len(self._tokens) > self._size:
                self._pop_oldest()

    def discard(self, digest: bytes) -> None:
        """Drop a token."""
        self._tokens.pop(digest, None)

    def _pop_oldest(self) -> None:
        # Not suppress(), which costs more than everything else here.
        try:  # noqa: SIM105
            self._tokens.popitem(last=False)
        except KeyError:  # Another thread was faster.
            pass

    def __len__(self) -> int:
        return len(self._tokens)
