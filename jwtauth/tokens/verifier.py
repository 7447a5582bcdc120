"""From a token to its verified claims: the one path that every token goes.

The order of the checks is part of the design. What a token may be refused for without a key comes
first, so that only a token that could otherwise pass may cause its issuer to be asked for keys.
What the configuration demands beyond the registered claims is judged after the signature, so that
nobody can find it out by trying.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Protocol

from jwtauth.exceptions import KeysUnavailable, TokenError

from . import base64url, header, strict_json
from .claims import check_subject
from .token_cache import Memory, RememberedToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .claims import Claims, ClaimsPolicy
    from .header import Header
    from .jwks import KeySet, VerificationKey

_MAX_HEADERS: Final = 256


class KeyProvider(Protocol):
    """Where an issuer's keys come from. Each method may raise ``KeysUnavailable``."""

    @abstractmethod
    def current(self) -> KeySet:
        """The keys to judge with now."""

    @abstractmethod
    def find(self, kid: str | None, algorithm: str, /) -> tuple[VerificationKey, ...]:
        """The keys for a header that the current set has none for; empty where there is none."""

    @abstractmethod
    def suspect(self) -> None:
        """A signature did not hold under a known key."""


class TrustedIssuer:
    """An issuer whose tokens count: what they must be, and the keys to verify them with."""

    __slots__ = ("algorithms", "claims", "keys", "token_types", "url")

    def __init__(
        self,
        url: str,
        *,
        algorithms: Iterable[str],
        claims: ClaimsPolicy,
        keys: KeyProvider,
        token_types: Iterable[str] | None = None,
    ) -> None:
        self.url: str = url
        self.algorithms: frozenset[str] = frozenset(algorithms)
        self.claims: ClaimsPolicy = claims
        self.keys: KeyProvider = keys
        self.token_types: frozenset[str] | None = (
            None if token_types is None else frozenset(map(header.media_type, token_types))
        )

    def check_header(self, parsed: Header) -> None:
        """Raises ``TokenError``: ``algorithm_not_allowed`` or ``invalid_type``."""
        if parsed.algorithm not in self.algorithms:
            raise TokenError("algorithm_not_allowed", "The token's algorithm is not allowed.")
        if self.token_types is not None and (
            parsed.typ is None or header.media_type(parsed.typ) not in self.token_types
        ):
            raise TokenError("invalid_type", "The token is of a type that is not accepted.")

    def signing_key(
        self, parsed: Header, signing_input: bytes, signature: bytes
    ) -> VerificationKey:
        """The key that the signature holds under.

        Raises ``TokenError`` (``unknown_key``, ``invalid_signature``) or ``KeysUnavailable``.
        """
        candidates = self.keys.current().select(parsed.kid, parsed.algorithm)
        if not candidates:
            candidates = self.keys.find(parsed.kid, parsed.algorithm)
            if not candidates:
                raise TokenError("unknown_key", "The token names no key of its issuer.")
        for key in candidates:
            if key.verify(parsed.algorithm, signing_input, signature):
                return key
        self.keys.suspect()
        raise TokenError("invalid_signature", "The token's signature does not hold.")


class Verifier:
    """Judges tokens of a fixed set of issuers.

    ``max_token_length`` is in characters; ``token_cache_size`` is how many verified tokens are
    remembered until they expire; ``clock`` gives Unix time in seconds.

    ``hits`` is how many tokens passed as remembered so far, ``misses`` how many were verified anew;
    refused ones are in neither.
    """

    def __init__(
        self,
        issuers: Iterable[TrustedIssuer],
        *,
        max_token_length: int = 16384,
        token_cache_size: int = 1024,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.issuers: dict[str, TrustedIssuer] = {issuer.url: issuer for issuer in issuers}
        self.algorithms: frozenset[str] = frozenset().union(
            *(i.algorithms for i in self.issuers.values())
        )
        self._max_token_length = max_token_length
        self._memory = Memory(token_cache_size)
        # Headers of tokens whose signature held: a gateway signs thousands of tokens under one.
        self._headers: dict[bytes, Header] = {}
        self._clock = clock
        self.hits: int = 0
        self.misses: int = 0

    def verify(self, token: str, request: Any = None) -> Claims:
        """The claims of a token that holds, in a dict of the caller's own.

        ``request`` is what an audience that depends on the request is computed from. Raises
        ``TokenError`` or ``KeysUnavailable``.
        """
        if not isinstance(token, str):
            raise TokenError("malformed_token", "The token is not a string.")
        if len(token) > self._max_token_length:
            raise TokenError("token_too_large", "The token is too large.")
        try:
            octets = token.encode("ascii")
        except UnicodeEncodeError:
            raise TokenError("malformed_token", "The token is not ASCII text.") from None
        digest = sha256(octets).digest()
        remembered = self._memory.get(digest)
        if remembered is not None:
            if remembered.holds(self._clock(), request):
                self.hits += 1
                return remembered.claims()
            self._memory.discard(digest)
        return self._verify(octets, digest, request)

    def _verify(self, octets: bytes, digest: bytes, request: Any) -> Claims:
        segments = octets.split(b".", 3)
        if len(segments) != 3:  # noqa: PLR2004 - RFC 7515 §7.1
            raise TokenError("malformed_token", "The token does not have three segments.")
        header_segment, payload_segment, signature_segment = segments
        signing_input = octets[: -len(signature_segment) - 1]
        parsed = self._headers.get(header_segment) or header.parse(header_segment)
        if parsed.algorithm not in self.algorithms:
            raise TokenError("algorithm_not_allowed", "The token's algorithm is not allowed.")
        claims = parse_claims(payload_segment)
        issuer = self.trusted_issuer(claims)
        try:
            issuer.check_header(parsed)
            issuer.claims.check_times(claims, self._clock())
            issuer.claims.check_audience(claims, request)
            check_subject(claims)
            try:
                signature = base64url.decode(signature_segment)
            except ValueError:
                raise TokenError(
                    "malformed_token", "The token's signature cannot be decoded."
                ) from None
            key = issuer.signing_key(parsed, signing_input, signature)
            issuer.claims.check_required(claims)
        except (TokenError, KeysUnavailable) as error:
            error.issuer = issuer.url
            raise
        if header_segment not in self._headers:
            if len(self._headers) >= _MAX_HEADERS:
                self._headers.clear()
            self._headers[header_segment] = parsed
        self._memory.put(digest, RememberedToken(claims, issuer, key))
        self.misses += 1
        return claims

    def trusted_issuer(self, claims: Claims) -> TrustedIssuer:
        """The issuer that a token claims to be of, where that is one of ours.

        Raises ``TokenError``: ``missing_claim``, ``invalid_claim`` or ``untrusted_issuer``.
        """
        if "iss" not in claims:
            raise TokenError("missing_claim", "The token has no iss claim.")
        url = claims["iss"]
        if type(url) is not str:
            raise TokenError("invalid_claim", "The token's iss claim is not a string.")
        issuer = self.issuers.get(url)
        if issuer is None:
            error = TokenError("untrusted_issuer", "The token's issuer is not trusted.")
            error.claimed_issuer = url
            raise error
        return issuer


def parse_claims(segment: bytes) -> Claims:
    """Read the second segment of a token. Raises ``TokenError`` (``malformed_token``)."""
    try:
        claims = strict_json.loads(base64url.decode(segment))
    except ValueError:
        raise TokenError("malformed_token", "The token's payload cannot be decoded.") from None
    if type(claims) is not dict:
        raise TokenError("malformed_token", "The token's payload is not a JSON object.")
    return claims
