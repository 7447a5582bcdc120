"""Public keys with the interface of python-jose: the algorithms that it lacks, and faster RSA.

python-jose provides ES* (RFC 7518 §3.4). This module adds EdDSA with Ed25519 (RFC 8037 §3.1), the
same algorithm under the name ``Ed25519`` (RFC 9864 §2.2), and PS* (RFC 7518 §3.5). The classes are
used directly and not registered with python-jose, which other packages may use too.

A class takes a public key of ``cryptography`` and the name of an algorithm.
"""

from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jose.backends.base import Key
from jose.backends.cryptography_backend import CryptographyECKey, CryptographyRSAKey

try:
    # The extra "fast".
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import BadSignatureError
except ImportError:
    HAS_LIBSODIUM = False  # pyright: ignore[reportConstantRedefinition]
else:
    HAS_LIBSODIUM = True


class Ed25519Key(Key):  # type: ignore[misc]
    """An Ed25519 key that OpenSSL verifies with."""

    def __init__(self, key: Ed25519PublicKey, algorithm: str) -> None:  # noqa: ARG002 - as in Key.
        self._key = key

    def verify(self, msg: bytes, sig: bytes) -> bool:
        try:
            self._key.verify(sig, msg)
        except InvalidSignature:
            return False
        return True


class SodiumEd25519Key(Key):  # type: ignore[misc]
    """An Ed25519 key that libsodium verifies with, in half of OpenSSL's time."""

    def __init__(self, key: Ed25519PublicKey, algorithm: str) -> None:  # noqa: ARG002 - as in Key.
        self._octets = key.public_bytes_raw()

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
    """An RSA key for RSASSA-PKCS1-v1_5, or for RSASSA-PSS with a salt as long as the hash.

    It creates its padding once and not for each token.
    """

    def __init__(self, key: rsa.RSAPublicKey, algorithm: str) -> None:
        # python-jose knows only the algorithms of PKCS1-v1_5.
        super().__init__(key, algorithm.replace("PS", "RS"))
        digest = self.hash_alg()
        scheme: padding.AsymmetricPadding = padding.PKCS1v15()
        if algorithm.startswith("PS"):
            scheme = padding.PSS(padding.MGF1(digest), salt_length=digest.digest_size)
        self.scheme: tuple[padding.AsymmetricPadding, Any] = scheme, digest
        self._octets = (key.key_size + 7) // 8

    def verify(self, msg: bytes, sig: bytes) -> bool:
        # RFC 8017 §8.1.2, step 1. OpenSSL accepts PSS signatures without their leading zeros.
        if len(sig) != self._octets:
            return False
        try:
            self.prepared_key.verify(sig, msg, *self.scheme)
        except InvalidSignature:
            return False
        return True


_ED25519_KEY: Final = SodiumEd25519Key if HAS_LIBSODIUM else Ed25519Key

KEY_CLASSES: Final[dict[str, type[Any]]] = {
    **dict.fromkeys(("EdDSA", "Ed25519"), _ED25519_KEY),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSAKey),
    **dict.fromkeys(("ES256", "ES384", "ES512"), CryptographyECKey),
}
"""The class that verifies each algorithm."""
