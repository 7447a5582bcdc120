"""What runs in the process of an issuer."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from jwtauth.testing import SigningKey
from tests.faults import Answer, FaultyIssuer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class IssuerHost:
    """Serves one issuer after the other."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._foreign_key = SigningKey.generate()

    def renew(self, /, *, cached: bool = False, **options: Any) -> tuple[str, str]:
        """Start another issuer; return its URL and the URL of its keys."""
        self._stack.close()
        kind = CachedIssuer if cached else FaultyIssuer
        issuer = kind(["EdDSA"], trusted=False, **options)
        self._issuer = self._stack.enter_context(issuer)
        return issuer.url, issuer.jwks_url

    def fetches(self) -> int:
        """Return the number of requests for the key set."""
        return self._issuer.fetches

    def tokens(self, number: int, *, foreign: bool) -> list[str]:
        """Sign tokens, each with its own subject."""
        key = self._foreign_key if foreign else None
        return [self._issuer.token(sub=f"user-{n}", key=key) for n in range(number)]

    def jwks_with_foreign_key(self) -> dict[str, Any]:
        """Return the key set, and one more key."""
        return {"keys": [*self._issuer.jwks()["keys"], self._foreign_key.public_jwk()]}

    def jwks_with_bad_keys(self) -> dict[str, Any]:
        """Return the key set among twenty keys that cannot be used."""
        bad = list(_bad_keys())
        return {"keys": [*bad[:10], *self._issuer.jwks()["keys"], *bad[10:]]}

    def set_answer(self, /, **answer: Any) -> None:
        """Respond like this from now on."""
        self._issuer.jwks_answer = Answer(**answer)

    def call(self, method: Callable[..., object], /, **options: Any) -> None:
        """Call a method of the issuer."""
        method(self._issuer, **options)


def _bad_keys() -> Iterator[Any]:
    """Yield keys that cannot be used."""
    ok, rsa, ec = ({"kty": kty, "use": "sig"} for kty in ("OKP", "RSA", "EC"))
    for x in ("", "A" * 43, "!", 7, None):
        yield {**ok, "crv": "Ed25519", "x": x}
    for n, e in (("", "AQAB"), ("A" * 43, "AQAB"), ("_" * 342, "AQ"), ("?", "AQAB"), (7, 7)):
        yield {**rsa, "n": n, "e": e}
    for crv, x in (("P-256", "AA"), ("P-384", "A" * 64), ("secp256k1", "A" * 43)):
        yield {**ec, "crv": crv, "x": x, "y": x}
    yield {**ok, "crv": "Ed448", "x": "A" * 76}
    yield {"kty": "oct", "k": "c2VjcmV0"}
    yield from ({"kty": "LWE"}, {"kid": "no type"}, {"kty": None, "kid": 7}, None, "not an object")


class CachedIssuer(FaultyIssuer):
    """An issuer behind an HTTP cache, which keeps a response for a minute and honours no-cache."""

    MAX_AGE = 60
    _fetched_at = -inf
    _body = b""

    def _respond(self, request: Any, server: Any) -> Any:
        answer, body = super()._respond(request, server)
        age = time.monotonic() - self._fetched_at
        if age > self.MAX_AGE or "no-cache" in (request.headers["Cache-Control"] or ""):
            self._body, self._fetched_at, age = body, time.monotonic(), 0
        headers = {"Age": f"{age:.0f}", "Cache-Control": f"max-age={self.MAX_AGE}"}
        return replace(answer, headers=headers), self._body
