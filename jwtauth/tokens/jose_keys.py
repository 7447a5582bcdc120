"""Key classes for python-jose: the algorithms that it lacks, and faster RSA.

python-jose provides RS* and ES* (RFC 7518 §3.3, §3.4). This module adds EdDSA with Ed25519
(RFC 8037 §3.1), the same algorithm under the name ``Ed25519`` (RFC 9864 §2.2), and PS* (RFC 7518
§3.5). The classes are used directly and not registered with python-jose, which other packages may
use too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from jose.backends.base import Key
from jose.exceptions import JWKError

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
    from jose.backends.cryptography_backend import CryptographyECKey, CryptographyRSAKey
except ImportError as _error:
    # The other backends of python-jose are slow and not hardened against timing attacks.
    raise ImportError(
        "jwtauth needs cryptography, which cannot be imported. "
        'Install it: pip install "python-jose[cryptography]"'
    ) from _error

try:
    # The extra "fast".
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import BadSignatureError
except ImportError:
    HAS_LIBSODIUM = False  # pyright: ignore[reportConstantRedefinition]
else:
    HAS_LIBSODIUM = True

from . import base64url

if TYPE_CHECKING:
    from collections.abc import Callable


class Ed25519Key(Key):  # type: ignore[misc]
    """An Ed25519 key from an OKP JWK (RFC 8037 §2) or a key of ``cryptography``."""

    def __init__(
        self, key: dict[str, Any] | Ed25519PublicKey | Ed25519PrivateKey, algorithm: str
    ) -> None:
        self.algorithm: str = algorithm
        self.prepared_key: Ed25519PublicKey | Ed25519PrivateKey = (
            self._prepare(key) if isinstance(key, dict) else key
        )

    @staticmethod
    def _prepare(jwk_dict: dict[str, Any]) -> Ed25519PublicKey | Ed25519PrivateKey:
        if (jwk_dict.get("kty"), jwk_dict.get("crv")) != ("OKP", "Ed25519"):
            raise JWKError("not an Ed25519 JWK")
        if "d" in jwk_dict:
            return Ed25519PrivateKey.from_private_bytes(base64url.decode(jwk_dict["d"].encode()))
        return Ed25519PublicKey.from_public_bytes(base64url.decode(jwk_dict["x"].encode()))

    def sign(self, msg: bytes) -> bytes:
        if isinstance(self.prepared_key, Ed25519PublicKey):
            raise JWKError("a public key cannot sign")
        return self.prepared_key.sign(msg)

    def verify(self, msg: bytes, sig: bytes) -> bool:
        try:
            self.prepared_key.verify(sig, msg)  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]
        except InvalidSignature:
            return False
        return True

    def public_key(self) -> Ed25519Key:
        if isinstance(self.prepared_key, Ed25519PublicKey):
            return self
        return Ed25519Key(self.prepared_key.public_key(), self.algorithm)

    def to_dict(self) -> dict[str, str]:
        members = {"alg": self.algorithm, "kty": "OKP", "crv": "Ed25519"}
        public = self.prepared_key
        if isinstance(public, Ed25519PrivateKey):
            members["d"] = base64url.encode(public.private_bytes_raw()).decode()
            public = public.public_key()
        members["x"] = base64url.encode(public.public_bytes_raw()).decode()
        return members


class SodiumEd25519Key(Ed25519Key):
    """An Ed25519 key that libsodium verifies with, in half of OpenSSL's time."""

    def __init__(
        self, key: dict[str, Any] | Ed25519PublicKey | Ed25519PrivateKey, algorithm: str
    ) -> None:
        super().__init__(key, algorithm)
        if isinstance(self.prepared_key, Ed25519PublicKey):
            self._octets = self.prepared_key.public_bytes_raw()

    def verify(self, msg: bytes, sig: bytes) -> bool:
        # libsodium takes signature and message in one piece: a signature that is too short would
        # borrow octets from the message.
        if len(sig) != 64:  # noqa: PLR2004 - RFC 8032 §5.1.6
            return False
        # pyright does not know that this class is used only if the imports succeeded.
        try:
            crypto_sign_open(sig + msg, self._octets)  # pyright: ignore[reportPossiblyUnboundVariable]
        except BadSignatureError:  # pyright: ignore[reportPossiblyUnboundVariable]
            return False
        return True


class RSAKey(CryptographyRSAKey):  # type: ignore[misc]
    """An RSA key for RSASSA-PKCS1-v1_5 that creates its padding once and not for each token."""

    def __init__(
        self, key: dict[str, Any] | rsa.RSAPublicKey | rsa.RSAPrivateKey, algorithm: str
    ) -> None:
        super().__init__(key, algorithm)
        self._scheme = padding.PKCS1v15(), self.hash_alg()

    def verify(self, msg: bytes, sig: bytes) -> bool:
        try:
            self.prepared_key.verify(sig, msg, *self._scheme)
        except InvalidSignature:
            return False
        return True


class RSAPSSKey(CryptographyRSAKey):  # type: ignore[misc]
    """An RSA key for RSASSA-PSS with a salt as long as the hash."""

    _HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
        "PS256": hashes.SHA256,
        "PS384": hashes.SHA384,
        "PS512": hashes.SHA512,
    }

    def __init__(
        self, key: dict[str, Any] | rsa.RSAPublicKey | rsa.RSAPrivateKey, algorithm: str
    ) -> None:
        # python-jose knows only the algorithms of the other padding.
        super().__init__(key, algorithm.replace("PS", "RS"))
        self.algorithm: str = algorithm
        digest = self._HASHES[algorithm]()
        self._scheme = padding.PSS(padding.MGF1(digest), salt_length=digest.digest_size), digest
        self._octets = (self.prepared_key.key_size + 7) // 8

    def sign(self, msg: bytes) -> bytes:
        signature: bytes = self.prepared_key.sign(msg, *self._scheme)
        return signature

    def verify(self, msg: bytes, sig: bytes) -> bool:
        # RFC 8017 §8.1.2, step 1. OpenSSL accepts signatures without their leading zeros.
        if len(sig) != self._octets:
            return False
        try:
            self.prepared_key.verify(sig, msg, *self._scheme)
        except InvalidSignature:
            return False
        return True

    def public_key(self) -> RSAPSSKey:
        if self.is_public():
            return self
        return RSAPSSKey(self.prepared_key.public_key(), self.algorithm)

    def to_dict(self) -> dict[str, str]:
        return {**super().to_dict(), "alg": self.algorithm}


ED25519_LIBRARY: Final = "libsodium" if HAS_LIBSODIUM else "OpenSSL"
"""The library that verifies Ed25519 signatures in this process."""

_ED25519_KEY: Final = SodiumEd25519Key if HAS_LIBSODIUM else Ed25519Key

KEY_CLASSES: Final[dict[str, type[Key]]] = {
    "EdDSA": _ED25519_KEY,
    "Ed25519": _ED25519_KEY,
    **dict.fromkeys(("RS256", "RS384", "RS512"), RSAKey),
    **dict.fromkeys(("PS256", "PS384", "PS512"), RSAPSSKey),
    **dict.fromkeys(("ES256", "ES384", "ES512"), CryptographyECKey),
}
"""The class that verifies each algorithm."""
