"""The algorithms that may be allowed, and what keys they take."""

import pytest

from jwtauth.tokens.algorithms import ALGORITHMS, KEY_TYPES, SYNONYMS, algorithms_of


def test_only_asymmetric_signature_algorithms_can_be_allowed() -> None:
    rsa = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}

    assert set(ALGORITHMS) == {"EdDSA", "Ed25519", *rsa, "ES256", "ES384", "ES512"}


@pytest.mark.parametrize(
    ("kty", "crv", "algorithms"),
    [
        ("OKP", "Ed25519", {"EdDSA", "Ed25519"}),
        ("RSA", None, {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        ("EC", "P-256", {"ES256"}),
        ("EC", "P-384", {"ES384"}),
        ("EC", "P-521", {"ES512"}),
        ("EC", "secp256k1", set()),
        ("EC", None, set()),
        ("OKP", "X25519", set()),
        ("OKP", "Ed448", set()),
        ("OKP", "P-256", set()),
        ("RSA", "P-256", set()),
        ("oct", None, set()),
        ("rsa", None, set()),
    ],
)
def test_a_key_verifies_the_algorithms_of_its_type(
    kty: str, crv: str | None, algorithms: set[str]
) -> None:
    assert set(algorithms_of(kty, crv)) == algorithms


def test_synonyms_are_the_two_names_for_ed25519() -> None:
    assert dict(SYNONYMS) == {"EdDSA": "Ed25519", "Ed25519": "EdDSA"}
    assert KEY_TYPES["EdDSA"] == KEY_TYPES["Ed25519"]
