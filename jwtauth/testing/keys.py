"""The private keys that an issuer signs with."""

import weakref
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jose.backends.base import Key

from jwtauth.tokens.algorithms import KEY_TYPES, SYNONYMS
from jwtauth.tokens.jose_keys import KEY_CLASSES

PrivateKey: TypeAlias = Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_CURVES: Final[dict[str | None, type[ec.EllipticCurve]]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}

# Generating an RSA key takes about 0.1 s, too long for each of hundreds of tests. When a SigningKey
# is no longer referenced, its material is kept here for the next one.
_spare_rsa_keys: list[rsa.RSAPrivateKey] = []


@dataclass(eq=False)
class SigningKey:
    """A private key, with the algorithm and the ``kid`` that its JWK names.

    ``private_key`` is a private key of ``cryptography`` that fits ``algorithm``, one of
    ``jwtauth.tokens.algorithms.ALGORITHMS``. Like the keys of a gateway, it has no ``kid`` by
    default.

    The methods raise ``ValueError`` for any other algorithm.
    """

    private_key: PrivateKey = field(repr=False)
    algorithm: str
    kid: str | None = None

    @classmethod
    def generate(cls, algorithm: str = "EdDSA", kid: str | None = None) -> Self:
        """Generate a new key.

        No other ``SigningKey`` that is still referenced has the same key material. RSA keys (2048
        bits) are slow to generate, so the material of a key that was dropped may be used again.

        Raises ``ValueError`` if ``algorithm`` is not one of
        ``jwtauth.tokens.algorithms.ALGORITHMS``.
        """
        kty, curve = KEY_TYPES[_known(algorithm)]
        if kty == "OKP":
            return cls(Ed25519PrivateKey.generate(), algorithm, kid)
        if kty == "EC":
            return cls(ec.generate_private_key(_CURVES[curve]()), algorithm, kid)
        try:
            private_key = _spare_rsa_keys.pop()
        except IndexError:
            private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        key = cls(private_key, algorithm, kid)
        weakref.finalize(key, _spare_rsa_keys.append, private_key)
        return key

    def private_jwk(self) -> dict[str, Any]:
        """Return the whole key as a JWK (RFC 7517)."""
        return self._jwk(self._jose_key())

    def public_jwk(self) -> dict[str, Any]:
        """Return the public half as an issuer publishes it, with ``use`` and ``alg``."""
        return self._jwk(self._jose_key().public_key())

    def fits(self, algorithm: str) -> bool:
        """Return whether this key is for ``algorithm``; EdDSA and Ed25519 are synonyms."""
        return algorithm in {self.algorithm, SYNONYMS.get(self.algorithm)}

    def sign(self, message: bytes, algorithm: str | None = None) -> bytes:
        """Sign as JWS does (RFC 7515 §5.1), optionally with another algorithm of this key type.

        Raises ``ValueError`` for an unknown algorithm and ``jose.exceptions.JWKError`` for one
        that this type of key cannot sign with.
        """
        signature: bytes = self._jose_key(algorithm).sign(message)
        return signature

    def _jose_key(self, algorithm: str | None = None) -> Key:
        name = _known(algorithm or self.algorithm)
        return KEY_CLASSES[name](self.private_key, name)

    def _jwk(self, key: Key) -> dict[str, Any]:
        members: dict[str, Any] = key.to_dict()
        members |= {"use": "sig", "alg": self.algorithm}
        return members if self.kid is None else {"kid": self.kid, **members}


def _known(algorithm: str) -> str:
    if algorithm not in KEY_TYPES:
        raise ValueError(f"{algorithm!r} is not one of {', '.join(KEY_TYPES)}")
    return algorithm
