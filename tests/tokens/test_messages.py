"""What a refusal tells people: one sentence for each cause, by which translations are found."""

from __future__ import annotations

from typing import Any

import pytest

from jwtauth.exceptions import TokenError
from tests.forging import compact, with_segment, with_signature
from tests.judging import Judge, RecordingKeys, key_set, mint, signing_key, trusted

OTHER = "https://other.test"


def _judge(**options: Any) -> Judge:
    """A judge of two issuers, of which the other has ``options``."""
    keys = RecordingKeys(key_set(signing_key("EdDSA"), signing_key("RS256")))
    return Judge(trusted(keys), trusted(keys, url=OTHER, **options))


def _message(token: Any, **options: Any) -> str:
    with pytest.raises(TokenError) as caught:
        _judge(**options).claims(token)
    assert str(caught.value) == caught.value.message
    return str(caught.value)


REFUSALS = [
    (None, "The token is not a string."),
    ("a" * 16385, "The token is too large."),
    ("é.b.c", "The token is not ASCII text."),
    ("a.b", "The token does not have three segments."),
    # The header.
    (with_segment(mint(), 0, "="), "The token's header cannot be decoded."),
    (mint(headers=b"{"), "The token's header cannot be decoded."),
    (mint(headers=b"[]"), "The token's header is not a JSON object."),
    (mint(headers={"alg": ...}), "The token's header names no algorithm."),
    (mint(headers={"kid": 1}), "The token's key id is not a usable string."),
    (mint(headers={"typ": 1}), "The token's type is not a string."),
    (mint(headers={"crit": ["exp"]}), "The token's header asks for an extension."),
    (mint(headers={"alg": "none"}), "The token's algorithm is not allowed."),
    # The payload.
    (compact(b'{"alg":"EdDSA"}', b"{", b""), "The token's payload cannot be decoded."),
    (mint(b"[]"), "The token's payload is not a JSON object."),
    (mint(iss=...), "The token has no iss claim."),
    (mint(iss=1), "The token's iss claim is not a string."),
    (mint(iss="https://evil.test"), "The token's issuer is not trusted."),
    (mint(exp=...), "The token has no exp claim."),
    (mint(exp="x"), "The token's exp claim is not a point in time."),
    (mint(nbf="x"), "The token's nbf claim is not a point in time."),
    (mint(iat="x"), "The token's iat claim is not a point in time."),
    (mint(exp=0), "The token has expired."),
    (mint(nbf=10**11), "The token is not valid yet."),
    (mint(aud="api"), "The token is meant for an audience."),
    (mint(sub=1), "The token's sub claim is not a string."),
    # The signature.
    (mint() + "=", "The token's signature cannot be decoded."),
    (mint(headers={"kid": "unknown"}), "The token's key is not among the keys of its issuer."),
    (with_signature(mint(), bytes(64)), "The token's signature is not valid."),
]


# By their messages: the tokens are others in each process.
@pytest.mark.parametrize(("token", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_a_refusal_says_what_is_wrong(token: Any, message: str) -> None:
    assert _message(token) == message


@pytest.mark.parametrize(
    ("options", "claims", "message"),
    [
        ({"algorithms": ["RS256"]}, {}, "The token's algorithm is not allowed."),
        ({"token_types": ["x"]}, {}, "The token's type is not accepted."),
        ({"audience": ("api",)}, {}, "The token has no aud claim."),
        (
            {"audience": ("api",)},
            {"aud": 1},
            "The token's audience is not a string or a list.",
        ),
        ({"audience": ("api",)}, {"aud": "x"}, "The token is meant for another audience."),
        ({"required_claims": {"a": 1}}, {}, "The token lacks a claim that is required."),
        ({"required_claims": {"a": 1}}, {"a": 2}, "A claim of the token has a value not accepted."),
    ],
)
def test_a_refusal_says_which_demand_of_its_issuer_is_not_met(
    options: dict[str, Any], claims: dict[str, Any], message: str
) -> None:
    assert _message(mint(iss=OTHER, **claims), **options) == message
