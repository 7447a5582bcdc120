"""The private keys that an issuer signs with."""

from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from jwtauth.tokens import base64url
from jwtauth.tokens.algorithms import CURVES, KEY_TYPES, SYNONYMS
from jwtauth.tokens.jose_keys import KEY_CLASSES, RSAKey

PrivateKey: TypeAlias = Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(eq=False)
class SigningKey:
    """A private key, with the algorithm and the ``kid`` that its JWK names.

    ``private_key`` is a private key of ``cryptography`` that fits ``algorithm``, one of
    ``jwtauth.tokens.algorithms.ALGORITHMS``. Like the keys of a gateway, it has no ``kid`` by
    default.
    """

    private_key: PrivateKey = field(repr=False)
    algorithm: str
    kid: str | None = None

    @classmethod
    def generate(cls, algorithm: str = "EdDSA", kid: str | None = None) -> Self:
        """Generate a new key. RSA keys have 2048 bits, and take about 0.1 s.

        Raises ``ValueError`` if ``algorithm`` is not one of
        ``jwtauth.tokens.algorithms.ALGORITHMS``.
        """
        kty, crv = KEY_TYPES[_known(algorithm)]
        if kty == "OKP":
            return cls(Ed25519PrivateKey.generate(), algorithm, kid)
        if kty == "EC":
            return cls(ec.generate_private_key(CURVES[crv]), algorithm, kid)
        return cls(rsa.generate_private_key(65537, 2048), algorithm, kid)

    def public_jwk(self) -> dict[str, Any]:
        """Return the public half as an issuer publishes it (RFC 7517), with ``use`` and ``alg``."""
        public = self.private_key.public_key()
        if isinstance(public, Ed25519PublicKey):
            x = base64url.encode(public.public_bytes_raw()).decode()
            members = {"kty": "OKP", "crv": "Ed25519", "x": x}
        else:
            members = KEY_CLASSES[self.algorithm](public, self.algorithm).to_dict()
        members |= {"use": "sig", "alg": self.algorithm}
        return members if self.kid is None else {"kid": self.kid, **members}

    def fits(self, algorithm: str) -> bool:
        """Return whether this key is for ``algorithm``; EdDSA and Ed25519 are synonyms."""
        return algorithm in {self.algorithm, SYNONYMS.get(self.algorithm)}

    def sign(self, message: bytes, algorithm: str | None = None) -> bytes:
        """Sign as JWS does (RFC 7515 §5.1), optionally with another algorithm of this key type.

        Raises ``ValueError`` for an unknown algorithm, and for an algorithm of another key type.
        """
        name, key = algorithm or self.algorithm, self.private_key
        if KEY_TYPES[_known(name)][0] != KEY_TYPES[self.algorithm][0]:
            raise ValueError(f"a key for {self.algorithm} cannot sign with {name}")
        if isinstance(key, Ed25519PrivateKey):
            return key.sign(message)
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(message, *RSAKey(key.public_key(), name).scheme)
        signature: bytes = KEY_CLASSES[name](key, name).sign(message)
        return signature


def _known(algorithm: str) -> str:
    if algorithm not in KEY_TYPES:
        raise ValueError(f"{algorithm!r} is not one of {', '.join(KEY_TYPES)}")
    return algorithm
