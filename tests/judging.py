"""A verifier at a fixed time, with keys in memory that take note of what is asked of them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth.exceptions import TokenError
from jwtauth.testing import Issuer, SigningKey
from jwtauth.tokens.algorithms import ALGORITHMS, KEY_TYPES
from jwtauth.tokens.claims import ClaimsPolicy
from jwtauth.tokens.jwks import KeySet
from jwtauth.tokens.trusted_issuer import KeySearch, TrustedIssuer
from jwtauth.tokens.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import Collection

NOW = 1_700_000_000
URL = "https://issuer.test"


def signing_key(algorithm: str = "EdDSA") -> SigningKey:
    """A key for the whole process; those of RSA's algorithms share what is slow to make."""
    return _signing_key(algorithm)


@cache
def _signing_key(algorithm: str) -> SigningKey:
    kid = f"kid-of-{algorithm}"
    if KEY_TYPES[algorithm][0] == "RSA" and algorithm != "RS256":
        return SigningKey(signing_key("RS256").private_key, algorithm, kid)
    return SigningKey.generate(algorithm, kid)


def key_set(*keys: SigningKey) -> KeySet:
    """The set that an issuer of these keys publishes."""
    return KeySet({"keys": [key.public_jwk() for key in keys]})


def mint(
    payload: dict[str, Any] | bytes | None = None,
    *,
    headers: dict[str, Any] | bytes | None = None,
    algorithm: str = "EdDSA",
    key: SigningKey | bytes | None = None,
    **claims: Any,
) -> str:
    """A token of ``URL`` that ends at ``NOW`` + 300; a claim given as ``...`` is left out."""
    if payload is None:
        payload = {"iss": URL, "sub": "user", "exp": NOW + 300, **claims}
        payload = {name: value for name, value in payload.items() if value is not ...}
    return Issuer(URL, ()).sign(
        payload,
        algorithm=algorithm,
        headers=headers,
        key=signing_key(algorithm) if key is None else key,
    )


class RecordingKeys:
    """A key provider: ``set`` is current, ``others`` is what the issuer publishes when asked.

    ``asked`` is what it was asked for, in order.
    """

    def __init__(self, keys: KeySet, others: KeySet | None = None) -> None:
        self.set = keys
        self.others = keys if others is None else others
        self.asked: list[Any] = []

    def start_search(self) -> KeySearch:
        return KeySearch(0)

    def current(self, _search: KeySearch | None = None) -> KeySet:
        self.asked.append("current")
        return self.set

    def confirm_unknown(self, _keys: KeySet, _search: KeySearch) -> KeySet:
        self.asked.append("confirm_unknown")
        return self.others

    def report_bad_signature(self) -> None:
        self.asked.append("report_bad_signature")


class Judge:
    """A ``Verifier`` of one issuer or more, whose clock stands still at ``now``."""

    def __init__(
        self,
        *issuers: TrustedIssuer,
        max_token_length: int = 16384,
        token_cache_size: int = 1024,
        **options: Any,
    ) -> None:
        self.now: float = NOW
        self.keys = RecordingKeys(key_set(*map(signing_key, ("EdDSA", "RS256", "ES256"))))
        self.verifier = Verifier(
            issuers or [trusted(self.keys, **options)],
            max_token_length=max_token_length,
            token_cache_size=token_cache_size,
            clock=lambda: self.now,
        )

    def claims(self, token: Any, request: Any = None) -> dict[str, Any]:
        """The claims of what must be accepted."""
        return self.verifier.verify(token, request)

    def code(self, token: Any, request: Any = None) -> str:
        """The code of what must be refused, in words that give nothing away."""
        with pytest.raises(TokenError) as caught:
            self.verifier.verify(token, request)
        error = caught.value
        assert error.__suppress_context__ or error.__context__ is None
        if isinstance(token, str):
            for segment in filter(None, token.split(".")):
                assert len(segment) < 8 or segment not in repr(error)
        return error.code


def trusted(
    keys: RecordingKeys,
    *,
    url: str = URL,
    algorithms: Collection[str] = ALGORITHMS,
    token_types: Collection[str] | None = None,
    **policy: Any,
) -> TrustedIssuer:
    """A trusted issuer; ``policy`` is for ``ClaimsPolicy``."""
    return TrustedIssuer(
        url,
        algorithms=algorithms,
        token_types=token_types,
        claims=ClaimsPolicy(**policy),
        keys=keys,
    )
