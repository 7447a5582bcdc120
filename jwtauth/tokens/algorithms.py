"""The signature algorithms that may be allowed, and the key type of each."""

from __future__ import annotations

from typing import Final, NamedTuple


class KeyType(NamedTuple):
    """The ``kty`` of a JWK (RFC 7517 §4.1), and its ``crv`` if the type has curves."""

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
"""Every algorithm that may be allowed. All of them are asymmetric."""

SYNONYMS: Final = {"EdDSA": "Ed25519", "Ed25519": "EdDSA"}
"""Two names of one algorithm: a JWK may use one name and a token the other."""


def algorithms_of(kty: str, crv: str | None) -> tuple[str, ...]:
    """Return the algorithms that a key of this type can verify."""
    return tuple(name for name, needed in KEY_TYPES.items() if needed == (kty, crv))
