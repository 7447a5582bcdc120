"""Project Wycheproof: each vector gets the verdict that it expects, or is left out for a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from jwtauth.tokens.jwks import KeySet
from tests.forging import encode

from . import published

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.slow, published.needed]

HMAC: Final = "HS* share a secret with whoever verifies: never allowed here"
MISSPELT: Final = "HS* again, under a header that is not base64url"
JWE: Final = "encrypted: only signatures are spoken here"
OTHER_ALG: Final = "the JWK names PS256 for its alg and the token PS384: a key keeps to its own"
NO_ALG: Final = "the JWK names ES521 for its alg, which no registry knows"
EITHER: Final = "acceptable, says the vector; the strict verdict is given here"

LEFT_OUT: Final[dict[str, dict[int, str]]] = {
    "json_web_signature": {
        **dict.fromkeys((1, 348, 352, 357, 358, 359, 373, 376, 377), HMAC),
        372: MISSPELT,
        **dict.fromkeys((346, 350), OTHER_ALG),
        **dict.fromkeys((347, 351), NO_ALG),
    },
    "json_web_key": dict.fromkeys((2, 13, 14, 15), HMAC),
    "json_web_crypto": {**dict.fromkeys((1, 48), HMAC), **dict.fromkeys((50, 67), JWE)},
    "rsa_signature_2048_sha256": {8: EITHER},
}
"""By file and number: vectors that may be accepted but are refused here, and why."""

JWS_FILES: Final = ("json_web_signature", "json_web_key", "json_web_crypto")

SIGNATURE_FILES: Final = {
    "ed25519": "EdDSA",
    "rsa_signature_2048_sha256": "RS256",
    "rsa_pss_2048_sha256_mgf1_32": "PS256",
    "ecdsa_secp256r1_sha256_p1363": "ES256",
    "ecdsa_secp384r1_sha384_p1363": "ES384",
    "ecdsa_secp521r1_sha512_p1363": "ES512",
}

Vector = dict[str, Any]


def _vectors(name: str) -> Iterator[tuple[Vector, Vector]]:
    """Each vector of a file with the group that it belongs to."""
    document = published.read(f"wycheproof/{name}_test.json")
    vectors = [(group, test) for group in document["testGroups"] for test in group["tests"]]
    assert len(vectors) == document["numberOfTests"] > 0
    assert len({test["tcId"] for _, test in vectors}) == len(vectors)
    yield from vectors


def _assert_accounted_for(name: str, accepted: dict[int, bool], expected: dict[int, str]) -> None:
    """Each vector as expected, but for those left out; and none left out without need."""
    assert accepted.keys() == expected.keys()
    otherwise = {
        number: verdict
        for number, verdict in expected.items()
        if verdict != ("valid" if accepted[number] else "invalid")
    }
    assert otherwise.keys() == LEFT_OUT.get(name, {}).keys()
    # Where it is not the verdict that the vector expects, it is the stricter one.
    assert set(otherwise.values()) <= {"valid", "acceptable"}


@pytest.mark.parametrize("name", JWS_FILES)
def test_jws_are_accepted_and_refused_as_published(
    name: str, judge_jws: Callable[[object, list[Any]], str]
) -> None:
    accepted, expected = {}, {}
    for group, test in _vectors(name):
        verdict = judge_jws(_jws(test), _jwks(group))
        accepted[test["tcId"]] = verdict == "accepted"
        expected[test["tcId"]] = test["result"]

    _assert_accounted_for(name, accepted, expected)


@pytest.mark.parametrize("name", JWS_FILES)
def test_a_jws_that_is_left_out_is_refused_for_the_reason_given(
    name: str, judge_jws: Callable[[object, list[Any]], str]
) -> None:
    codes = {
        HMAC: {"algorithm_not_allowed", "malformed_token"},  # Some have a payload without claims.
        MISSPELT: {"malformed_token"},
        JWE: {"malformed_token"},
        OTHER_ALG: {"unknown_key"},
        NO_ALG: {"unknown_key"},
    }
    for group, test in _vectors(name):
        reason = LEFT_OUT[name].get(test["tcId"])
        if reason is not None:
            assert judge_jws(_jws(test), _jwks(group)) in codes[reason]


@pytest.mark.parametrize(("name", "algorithm"), SIGNATURE_FILES.items())
def test_signatures_hold_and_do_not_hold_as_published(name: str, algorithm: str) -> None:
    accepted, expected = {}, {}
    for group, test in _vectors(name):
        (key,) = KeySet({"keys": [_jwk(group)]})
        message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
        accepted[test["tcId"]] = key.verify(algorithm, message, signature)
        expected[test["tcId"]] = test["result"]

    _assert_accounted_for(name, accepted, expected)


def _jws(test: Vector) -> object:
    return test["jws"] if "jws" in test else test["jwe"]


def _jwks(group: Vector) -> list[Vector]:
    """The public keys of a group, or what there is instead."""
    key: Vector = group["public"] if "public" in group else group["private"]
    keys: list[Vector] = key.get("keys", [key])
    return keys


def _jwk(group: Vector) -> Vector:
    """The JWK of a group, made of the coordinates where it gives none."""
    given: Vector | None = group.get("publicKeyJwk") or group.get("keyJwk")
    if given is not None:
        return given
    key = group["publicKey"]
    curve = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}[key["curve"]]
    octets = bytes.fromhex(key["uncompressed"])[1:]
    half = len(octets) // 2
    return {"kty": "EC", "crv": curve, "x": encode(octets[:half]), "y": encode(octets[half:])}
