"""The signature algorithms that may be allowed, and the type of key that each verifies with."""

from __future__ import annotations

from typing import Final, NamedTuple


class KeyType(NamedTuple):
    """What a JWK must be for an algorithm: ``kty`` (RFC 7517 §4.1) and ``crv``, if it has one."""

    kty: str
    crv: str | None = None


_RSA = KeyType("RSA")
_ED25519 = KeyType("OKP", "Ed25519")

KEY_TYPES: Final = {
    "EdDSA": _ED25519,
    "Ed25519": _ED25519,
    "RS256": _RSA,
    "RS384": _RSA,
    "RS512": _RSA,
    "PS256": _RSA,
    "PS384": _RSA,
    "PS512": _RSA,
    "ES256": KeyType("EC", "P-256"),
    "ES384": KeyType("EC", "P-384"),
    "ES512": KeyType("EC", "P-521"),
}
"""RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2."""

ALGORITHMS: Final = tuple(KEY_TYPES)
"""Every algorithm that may be allowed: asymmetric signatures only."""

SYNONYMS: Final = {"EdDSA": "Ed25519", "Ed25519": "EdDSA"}
"""Names that mean the same algorithm here: a JWK may say one and a token the other."""


def algorithms_of(kty: str, crv: str | None) -> tuple[str, ...]:
    """The algorithms that a key of this type can verify."""
    return tuple(name for name, needed in KEY_TYPES.items() if needed == (kty, crv))
