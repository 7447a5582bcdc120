"""Key classes for python-jose: the algorithms that it lacks, and faster RSA.

python-jose provides RS* and ES* (RFC 7518 §3.3, §3.4). This module adds EdDSA with Ed25519
(RFC 8037 §3.1), the same algorithm under the name ``Ed25519`` (RFC 9864 §2.2), and PS* (RFC 7518
§3.5). The classes are used directly and not registered with python-jose, which other packages may
use too.
"""

from __future__ import annotations

from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jose.backends.base import Key
from jose.backends.cryptography_backend import CryptographyECKey, CryptographyRSAKey
from jose.exceptions import JWKError

try:
    # The extra "fast".
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import BadSignatureError
except ImportError:
    HAS_LIBSODIUM = False  # pyright: ignore[reportConstantRedefinition]
else:
    HAS_LIBSODIUM = True

from . import base64url


class Ed25519Key(Key):  # type: ignore[misc]
    """An Ed25519 key from a public OKP JWK (RFC 8037 §2) or a key of ``cryptography``."""

    def __init__(
        self, key: dict[str, Any] | Ed25519PublicKey | Ed25519PrivateKey, algorithm: str
    ) -> None:
        self.algorithm: str = algorithm
        if isinstance(key, dict):
            key = Ed25519PublicKey.from_public_bytes(base64url.decode(key["x"].encode()))
        public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
        self.prepared_key: Any = key
        self._is_private = public is not key
        self._public_octets = public.public_bytes_raw()

    def sign(self, msg: bytes) -> bytes:
        signature: bytes = self.prepared_key.sign(msg)
        return signature

    def verify(self, msg: bytes, sig: bytes) -> bool:
        try:
            self.prepared_key.verify(sig, msg)
        except InvalidSignature:
            return False
        return True

    def public_key(self) -> Ed25519Key:
        if not self._is_private:
            return self
        return type(self)(self.prepared_key.public_key(), self.algorithm)

    def to_dict(self) -> dict[str, str]:
        x = base64url.encode(self._public_octets).decode()
        members = {"alg": self.algorithm, "kty": "OKP", "crv": "Ed25519", "x": x}
        if self._is_private:
            members["d"] = base64url.encode(self.prepared_key.private_bytes_raw()).decode()
        return members


class SodiumEd25519Key(Ed25519Key):
    """An Ed25519 key that libsodium verifies with, in half of OpenSSL's time."""

    def verify(self, msg: bytes, sig: bytes) -> bool:
        # libsodium takes signature and message in one piece: a signature that is too short would
        # borrow octets from the message.
        if len(sig) != 64:  # noqa: PLR2004 - RFC 8032 §5.1.6
            return False
        # pyright does not know that this class is used only if the imports succeeded.
        try:
            crypto_sign_open(sig + msg, self._public_octets)  # pyright: ignore[reportPossiblyUnboundVariable]
        except BadSignatureError:  # pyright: ignore[reportPossiblyUnboundVariable]
            return False
        return True


class RSAKey(CryptographyRSAKey):  # type: ignore[misc]
    """An RSA key for RSASSA-PKCS1-v1_5, or for RSASSA-PSS with a salt as long as the hash.

    It creates its padding once and not for each token.
    """

    def __init__(
        self, key: dict[str, Any] | rsa.RSAPublicKey | rsa.RSAPrivateKey, algorithm: str
    ) -> None:
        # python-jose knows only the algorithms of PKCS1-v1_5.
        super().__init__(key, algorithm.replace("PS", "RS"))
        self.algorithm: str = algorithm
        digest = self.hash_alg()
        scheme: padding.AsymmetricPadding = padding.PKCS1v15()
        if algorithm.startswith("PS"):
            scheme = padding.PSS(padding.MGF1(digest), salt_length=digest.digest_size)
        self._scheme = scheme, digest
        self._octets = (self.prepared_key.key_size + 7) // 8

    def sign(self, msg: bytes) -> bytes:
        try:
            signature: bytes = self.prepared_key.sign(msg, *self._scheme)
        except Exception as error:
            raise JWKError(error) from error
        return signature

    def verify(self, msg: bytes, sig: bytes) -> bool:
        # RFC 8017 §8.1.2, step 1. OpenSSL accepts PSS signatures without their leading zeros.
        if len(sig) != self._octets:
            return False
        try:
            self.prepared_key.verify(sig, msg, *self._scheme)
        except InvalidSignature:
            return False
        return True

    def public_key(self) -> RSAKey:
        if self.is_public():
            return self
        return RSAKey(self.prepared_key.public_key(), self.algorithm)

    def to_dict(self) -> dict[str, str]:
        return {**super().to_dict(), "alg": self.algorithm}


ED25519_LIBRARY: Final = "libsodium" if HAS_LIBSODIUM else "OpenSSL"
"""The library that verifies Ed25519 signatures in this process."""

_ED25519_KEY: Final = SodiumEd25519Key if HAS_LIBSODIUM else Ed25519Key

KEY_CLASSES: Final[dict[str, type[Key]]] = {
    **dict.fromkeys(("EdDSA", "Ed25519"), _ED25519_KEY),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSAKey),
    **dict.fromkeys(("ES256", "ES384", "ES512"), CryptographyECKey),
}
"""The class that verifies each algorithm."""
