"""The private keys of the testing kit."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from jwtauth.testing import SigningKey
from jwtauth.tokens import base64url
from jwtauth.tokens.algorithms import ALGORITHMS, KEY_TYPES

MESSAGE = b"signed by one, verified by another"
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}


def octets(jwk: dict[str, str], member: str) -> bytes:
    return base64url.decode(jwk[member].encode())


def number(jwk: dict[str, str], member: str) -> int:
    return int.from_bytes(octets(jwk, member))


def verify(jwk: dict[str, str], algorithm: str, signature: bytes) -> None:
    """Verify with cryptography alone: RFC 7518 §3.3 to §3.5 and RFC 8037 §3.1, written again."""
    if jwk["kty"] == "OKP":
        Ed25519PublicKey.from_public_bytes(octets(jwk, "x")).verify(signature, MESSAGE)
        return
    digest = HASHES[algorithm[2:]]
    if jwk["kty"] == "EC":
        point = ec.EllipticCurvePublicNumbers(
            number(jwk, "x"), number(jwk, "y"), CURVES[jwk["crv"]]
        )
        half = len(signature) // 2
        assert half == (point.curve.key_size + 7) // 8
        der = encode_dss_signature(
            int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
        )
        point.public_key().verify(der, MESSAGE, ec.ECDSA(digest))
        return
    scheme = (
        padding.PSS(padding.MGF1(digest), digest.digest_size)
        if algorithm.startswith("PS")
        else padding.PKCS1v15()
    )
    public_key = rsa.RSAPublicNumbers(number(jwk, "e"), number(jwk, "n")).public_key()
    assert public_key.key_size == 2048
    public_key.verify(signature, MESSAGE, scheme, digest)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_public_jwk_verifies_what_the_key_signed(algorithm: str) -> None:
    key = SigningKey.generate(algorithm)

    verify(key.public_jwk(), algorithm, key.sign(MESSAGE))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_public_jwk_says_what_the_key_is_for_and_nothing_private(algorithm: str) -> None:
    jwk = SigningKey.generate(algorithm).public_jwk()

    coordinates = {"OKP": {"crv", "x"}, "EC": {"crv", "x", "y"}, "RSA": {"n", "e"}}
    assert jwk.keys() == {"kty", "use", "alg"} | coordinates[jwk["kty"]]
    assert (jwk["kty"], jwk.get("crv")) == KEY_TYPES[algorithm]
    assert (jwk["use"], jwk["alg"]) == ("sig", algorithm)


def test_kid_is_published_if_there_is_one() -> None:
    assert SigningKey.generate(kid="the kid").public_jwk()["kid"] == "the kid"
    assert SigningKey.generate(kid="").public_jwk()["kid"] == ""


def test_key_signs_with_another_algorithm_of_its_type() -> None:
    key = SigningKey.generate("RS256")

    verify(key.public_jwk(), "PS512", key.sign(MESSAGE, "PS512"))


def test_key_cannot_sign_with_an_algorithm_of_another_type() -> None:
    with pytest.raises(ValueError, match="a key for ES256 cannot sign with RS256"):
        SigningKey.generate("ES256").sign(MESSAGE, "RS256")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256K", ""])
def test_other_algorithms_are_rejected_by_name(algorithm: str) -> None:
    with pytest.raises(ValueError, match="is not one of EdDSA, Ed25519, RS256"):
        SigningKey.generate(algorithm)
    if algorithm:
        with pytest.raises(ValueError, match="is not one of"):
            SigningKey.generate().sign(MESSAGE, algorithm)


def test_repr_names_the_key_and_reveals_nothing() -> None:
    key = SigningKey.generate("ES256", kid="mine")

    assert repr(key) == "SigningKey(algorithm='ES256', kid='mine')"
