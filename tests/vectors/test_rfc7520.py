"""The examples of RFC 7520 and RFC 8037 that are signed, as the cookbook of JOSE publishes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from jwtauth.tokens.jwks import KeySet
from tests.forging import compact, taken_apart, text_of, with_segment

from . import published

if TYPE_CHECKING:
    from collections.abc import Callable

    JudgeJWS = Callable[[object, list[Any]], str]

pytestmark = published.needed

PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})

ACCEPTED: Final = {
    "4_1.rsa_v15_signature": "3_3.rsa_public_key",
    "4_2.rsa-pss_signature": "3_3.rsa_public_key",
    "4_3.ecdsa_signature": "3_1.ec_public_key",
    "jws": None,
}
"""By example: the file of the public key, where it has one of its own."""

LEFT_OUT: Final = {
    "4_4.hmac-sha2_integrity_protection": "HS* share a secret: never allowed here",
    "json": "JSON serialization: a token is compact (RFC 7519 §1)",
    "json_flat": "JSON serialization: a token is compact (RFC 7519 §1)",
}
"""By example, or by the form of one: why it is refused."""


def _example(name: str) -> dict[str, Any]:
    return published.read(f"rfc7520/{name}.json")


def _public_jwk(name: str) -> dict[str, Any]:
    key = ACCEPTED[name]
    if key is not None:
        return _example(key)
    private = _example(name)["input"]["key"]
    return {member: value for member, value in private.items() if member not in PRIVATE}


def test_every_file_is_accounted_for() -> None:
    files = {path.stem for path in (published.folder() / "rfc7520").glob("*.json")}

    assert files == {*ACCEPTED, *filter(None, ACCEPTED.values()), *LEFT_OUT} - {"json", "json_flat"}


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_example_holds_under_its_public_key(name: str, judge_jws: JudgeJWS) -> None:
    example = _example(name)
    token = example["output"]["compact"]

    assert judge_jws(token, [_public_jwk(name)]) == "accepted"
    assert taken_apart(token)[1].decode() == example["input"]["payload"]
    (key,) = KeySet({"keys": [_public_jwk(name)]})
    assert example["signing"]["protected"]["alg"] in key.algorithms


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_example_does_not_hold_once_it_is_changed(name: str, judge_jws: JudgeJWS) -> None:
    token = _example(name)["output"]["compact"]
    header, payload, signature = taken_apart(token)

    for changed in (
        compact(header, payload + b".", signature),
        compact(header, payload, signature[:-1] + bytes((signature[-1] ^ 1,))),
        compact(header.replace(b"{", b"{ "), payload, signature),
    ):
        assert judge_jws(changed, [_public_jwk(name)]) == "invalid_signature"
    assert judge_jws(with_segment(token, 1, ""), [_public_jwk(name)]) == "invalid_signature"
    assert judge_jws(with_segment(token, 1, "A"), [_public_jwk(name)]) == "malformed_token"


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_private_key_of_an_example_is_not_taken_for_a_public_one(name: str) -> None:
    keys = KeySet({"keys": [_example(name)["input"]["key"]]})

    assert len(keys) == 0
    assert "private" in keys.skipped[0].reason


def test_the_example_of_hmac_is_refused(judge_jws: JudgeJWS) -> None:
    (name,) = (name for name in LEFT_OUT if name.startswith("4_"))
    example = _example(name)

    assert judge_jws(example["output"]["compact"], [example["input"]["key"]]) == (
        "algorithm_not_allowed"
    )


@pytest.mark.parametrize("name", ACCEPTED)
def test_json_serialization_is_refused(name: str, judge_jws: JudgeJWS) -> None:
    output = _example(name)["output"]
    assert output.keys() - {"compact"} <= LEFT_OUT.keys()

    for form in output.keys() - {"compact"}:
        for token in (output[form], text_of(output[form])):
            assert judge_jws(token, [_public_jwk(name)]) == "malformed_token"
