"""The algorithms that may be allowed, and what keys they take."""

import pytest

from jwtauth.tokens.algorithms import ALGORITHMS, KEY_TYPES, SYNONYMS


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
    ],
)
def test_each_key_type_has_its_algorithms(kty: str, crv: str | None, algorithms: set[str]) -> None:
    assert {name for name, needed in KEY_TYPES.items() if needed == (kty, crv)} == algorithms


def test_synonyms_are_the_two_names_for_ed25519() -> None:
    assert dict(SYNONYMS) == {"EdDSA": "Ed25519", "Ed25519": "EdDSA"}
    assert KEY_TYPES["EdDSA"] == KEY_TYPES["Ed25519"]
