"""From a token to its verified claims: the one path that every token takes.

The order of the checks is part of the design. The checks that need no key come first, so that only
a token that may be valid can cause a fetch. ``REQUIRED_CLAIMS`` is checked after the signature, so
that strangers cannot find out by trying what it requires. A token in the token cache skips the
checks whose result cannot change: see ``CachedToken.claims``.
"""

import marshal
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.exceptions import gettext_noop as _

from . import base64url, header, strict_json
from .claims import Claims, check_subject
from .token_cache import CachedToken, TokenCache
from .trusted_issuer import KeySearch, TrustedIssuer, rejection_for_fault

_MAX_HEADERS: Final = 64


class Verifier:
    """Verifies tokens of a fixed set of issuers.

    ``max_token_length`` is in characters. ``token_cache_size`` is the number of verified tokens
    that are cached until they expire. Their defaults are for tests. ``clock`` returns Unix time in
    seconds.

    ``hits`` counts the tokens that were accepted from the token cache, ``misses`` the tokens that
    were accepted after a full verification.
    """

    def __init__(
        self,
        issuers: Iterable[TrustedIssuer],
        *,
        max_token_length: int = 16384,
        token_cache_size: int = 1024,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.issuers: dict[str, TrustedIssuer] = {issuer.url: issuer for issuer in issuers}
        self._max_token_length = max_token_length
        self._token_cache = TokenCache(token_cache_size)
        # A gateway signs thousands of tokens with the same header.
        self._parse_header = lru_cache(_MAX_HEADERS)(header.parse)
        # time.time() is looked up at each call, so that tests may replace it.
        self._clock = clock or (lambda: time.time())  # noqa: PLW0108
        self.hits: int = 0
        self.misses: int = 0

    def verify(self, token: str, request: Any = None, search: KeySearch | None = None) -> Claims:
        """Return the claims of a valid token, in a dict that belongs to the caller.

        ``request`` is passed to an ``AUDIENCE`` callable. ``search`` comes from an earlier call
        that had to wait. Raises ``TokenError``, ``KeysUnavailable``, the exception by which the key
        provider asks the caller to wait, and any exception of the project's own callables.
        """
        octets = self._check_text(token)
        digest = sha256(octets).digest()
        cached = self._token_cache.get(digest)
        issuer = None
        try:
            if cached is not None:
                issuer = cached.issuer
                claims = cached.claims(self._clock(), request, search)
                if claims is not None:
                    self.hits += 1
                    return claims
                self._token_cache.discard(digest)
            parsed, claims, signing_input, signature = self._parse(octets)
            issuer = self._trusted_issuer(claims)
            issuer.check_header(parsed)
            starts_at, ends_at = issuer.claims.check_times(claims, self._clock())
            # Here the project's callables run. Their exceptions say nothing about the token.
            issuer.claims.check_audience(claims, request)
            check_subject(claims)
            key = issuer.find_signing_key(parsed, signing_input, signature, search)
            issuer.claims.check_required(claims)
        except (TokenError, KeysUnavailable) as error:
            error.issuer = None if issuer is None else issuer.url
            raise
        self._token_cache.put(
            digest, CachedToken(marshal.dumps(claims), issuer, key, starts_at, ends_at)
        )
        self.misses += 1
        return claims

    def _check_text(self, token: str) -> bytes:
        if not isinstance(token, str):
            raise TokenError("malformed_token", _("The token is not a string."))
        if len(token) > self._max_token_length:
            raise TokenError("token_too_large", _("The token is too large."))
        try:
            return token.encode("ascii")
        except UnicodeEncodeError:
            raise TokenError("malformed_token", _("The token is not ASCII text.")) from None

    def _parse(self, octets: bytes) -> tuple[header.Header, Claims, bytes, bytes]:
        """Return header, claims, signing input and signature, none of them verified."""
        segments = octets.split(b".", 3)
        if len(segments) != 3:  # noqa: PLR2004 - RFC 7515 §7.1
            raise TokenError("malformed_token", _("The token does not have three segments."))
        header_segment, payload, signature = segments
        signing_input = octets[: -len(signature) - 1]
        try:
            parsed, claims = self._parse_header(header_segment), parse_claims(payload)
            return parsed, claims, signing_input, _decode_signature(signature)
        except TokenError:
            raise
        except Exception as error:
            raise rejection_for_fault(error) from error

    def _trusted_issuer(self, claims: Claims) -> TrustedIssuer:
        if "iss" not in claims:
            raise TokenError("missing_claim", _("The token has no iss claim."))
        url = claims["iss"]
        if type(url) is not str:
            raise TokenError("invalid_claim", _("The token's iss claim is not a string."))
        issuer = self.issuers.get(url)
        if issuer is None:
            error = TokenError("untrusted_issuer", _("The token's issuer is not trusted."))
            error.claimed_issuer = url
            raise error
        return issuer


def parse_claims(segment: bytes) -> Claims:
    """Read the second segment of a token. Raises ``TokenError`` (``malformed_token``)."""
    try:
        claims = strict_json.loads(base64url.decode(segment))
    except (ValueError, RecursionError):
        raise TokenError("malformed_token", _("The token's payload cannot be decoded.")) from None
    if type(claims) is not dict:
        raise TokenError("malformed_token", _("The token's payload is not a JSON object."))
    return claims


def _decode_signature(segment: bytes) -> bytes:
    try:
        return base64url.decode(segment)
    except ValueError:
        raise TokenError("malformed_token", _("The token's signature cannot be decoded.")) from None
