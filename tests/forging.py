"""The tools of a forger: tokens taken apart, put together, and signed with what is at hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jwtauth.tokens import base64url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jwtauth.testing import SigningKey

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
"""The order of Ed25519's base point, L in RFC 8032 §5.1."""


def encode(octets: bytes) -> str:
    """One segment."""
    return base64url.encode(octets).decode()


def compact(*segments: bytes) -> str:
    """A token of these segments."""
    return ".".join(map(encode, segments))


def taken_apart(token: str) -> list[bytes]:
    """The octets of each segment."""
    return [base64url.decode(segment.encode()) for segment in token.split(".")]


def with_segment(token: str, index: int, segment: str) -> str:
    """The token with another segment, as text, in this place."""
    segments = token.split(".")
    segments[index] = segment
    return ".".join(segments)


def with_signature(token: str, signature: bytes) -> str:
    """The token with other octets for a signature."""
    return with_segment(token, 2, encode(signature))


def signature_of(token: str) -> bytes:
    """The octets of the signature."""
    return taken_apart(token)[2]


def other_spellings(segment: str) -> Iterator[str]:
    """The same octets with other trailing bits, which no octet has a part in."""
    unused = {2: 4, 3: 2}.get(len(segment) % 4, 0)
    last = ALPHABET.index(segment[-1])
    for bits in range(1, 1 << unused):
        yield segment[:-1] + ALPHABET[last ^ bits]


def nested(levels: int, opening: str = "[", closing: str = "]") -> str:
    """JSON text of so many levels."""
    return opening * levels + closing * levels


def private_jwk(key: SigningKey) -> dict[str, Any]:
    """The whole key as a JWK, with nothing but its private exponent or scalar for a private half.

    See RFC 7518 §6.2.2 and §6.3.2.
    """
    private = key.private_key
    if isinstance(private, Ed25519PrivateKey):
        octets = private.private_bytes_raw()
    else:
        numbers = private.private_numbers()
        number = numbers.d if isinstance(numbers, RSAPrivateNumbers) else numbers.private_value
        octets = number.to_bytes((private.key_size + 7) // 8)
    return {**key.public_jwk(), "d": encode(octets)}


def public_key_as_secrets(key: SigningKey) -> dict[str, bytes]:
    """What a verifier may be talked into taking for a shared secret: the forms of a public key."""
    public = key.private_key.public_key()
    jwk = key.public_jwk()
    secrets = {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "pem without a final line break": public.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        ).strip(),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(jwk).encode(),
        "compact jwk": json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode(),
        "jwk member": (jwk.get("n") or jwk["x"]).encode(),
        "nothing": b"",
    }
    if isinstance(public, RSAPublicKey):
        secrets["pkcs1 pem"] = public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
        secrets["pkcs1 der"] = public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        secrets["raw"] = base64url.decode(jwk["n"].encode())
    elif isinstance(public, Ed25519PublicKey):
        secrets["raw"] = public.public_bytes_raw()
        secrets["openssh"] = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    else:
        assert isinstance(public, EllipticCurvePublicKey)
        secrets["raw"] = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return secrets


def as_der(signature: bytes) -> bytes:
    """An ECDSA signature of JOSE's form (RFC 7518 §3.4) in that of X.509."""
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))


def with_larger_s(signature: bytes) -> bytes:
    """An Ed25519 signature with S + L for S: the same equation, another spelling."""
    s = int.from_bytes(signature[32:], "little") + ED25519_ORDER
    return signature[:32] + s.to_bytes(32, "little")


def text_of(value: Any) -> str:
    """JSON text as tokens carry it."""
    return json.dumps(value, separators=(",", ":"))
