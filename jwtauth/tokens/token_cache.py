"""Verified tokens that a process remembers, so that a signature is checked once.

A remembered token is no free pass: each time its validity in time, its audience for this request
and the standing of its key are judged anew. Refusals are never remembered.
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
    from .verifier import TrustedIssuer


class RememberedToken:
    """The claims of a verified token, with what each further use of it is judged by."""

    __slots__ = ("_claims", "_ends_at", "_issuer", "_key", "_keys", "_starts_at")

    def __init__(self, claims: Claims, issuer: TrustedIssuer, key: VerificationKey) -> None:
        leeway = issuer.claims.leeway
        # Serialized, so that every request gets claims of its own at the price of one load.
        self._claims = marshal.dumps(claims)
        self._starts_at = starts_at(claims) - leeway
        self._ends_at = claims["exp"] + leeway
        self._issuer = issuer
        self._key = key
        self._keys: object = None

    def claims(self) -> Claims:
        """The claims, in a dict of the caller's own."""
        claims: Claims = marshal.loads(self._claims)  # noqa: S302 - our own dumps(), never input.
        return claims

    def holds(self, now: float, request: Any) -> bool:
        """Whether the token may still pass as remembered. May raise ``KeysUnavailable``."""
        if not self._starts_at <= now < self._ends_at:
            return False
        try:
            keys = self._issuer.keys.current()
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


class Memory:
    """At most ``size`` remembered tokens by digest; the least recently used goes first.

    Threads share it without a lock: each step is one operation of ``OrderedDict`` that CPython
    does not interrupt, and the worst that a race can do is to forget a token.
    """

    __slots__ = ("_size", "_tokens")

    def __init__(self, size: int) -> None:
        self._size = size
        self._tokens: OrderedDict[bytes, RememberedToken] = OrderedDict()

    def get(self, digest: bytes) -> RememberedToken | None:
        """The token of this digest, which is now the most recently used one."""
        # Asked first, since most tokens are not there and an exception costs more than a look.
        token = self._tokens.get(digest)
        if token is not None:
            try:
                self._tokens.move_to_end(digest)
            except KeyError:  # Another thread has just forgotten it.
                return None
        return token

    def put(self, digest: bytes, token: RememberedToken) -> None:
        """Remember a token."""
        if self._size:
            self._tokens[digest] = token
            while len(self._tokens) > self._size:
                self._pop_oldest()

    def discard(self, digest: bytes) -> None:
        """Forget a token."""
        self._tokens.pop(digest, None)

    def _pop_oldest(self) -> None:
        # Not suppress(), which costs more than all else here.
        try:  # noqa: SIM105
            self._tokens.popitem(last=False)
        except KeyError:  # Another thread was faster.
            pass

    def __len__(self) -> int:
        return len(self._tokens)
