"""The signature algorithms that may be allowed, and the key type of each.

An algorithm also needs a class in ``jose_keys.KEY_CLASSES``. A new key type also needs ``jwks`` and
``jwtauth.testing.keys``.
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

_RSA = ("RSA", None)
_ED25519 = ("OKP", "Ed25519")

KEY_TYPES: Final[dict[str, tuple[str, str | None]]] = {
    "EdDSA": _ED25519,
    "Ed25519": _ED25519,
    "RS256": _RSA,
    "RS384": _RSA,
    "RS512": _RSA,
    "PS256": _RSA,
    "PS384": _RSA,
    "PS512": _RSA,
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
}
"""The ``kty`` of the JWK for each algorithm, and its ``crv`` if the type has curves.

See RFC 7518 §3.1, RFC 8037 §3.1 and RFC 9864 §2.2.
"""

CURVES: Final[dict[str | None, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}
"""The curve of each ``crv`` of an EC key."""

ALGORITHMS: Final = tuple(KEY_TYPES)
"""Every algorithm that may be allowed. All of them are asymmetric."""

SYNONYMS: Final = {"EdDSA": "Ed25519", "Ed25519": "EdDSA"}
"""Two names of one algorithm: a JWK may use one name and a token the other."""
