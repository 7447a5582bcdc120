"""A verifier for JWS of any payload, which vectors have and tokens have not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jwtauth.exceptions import TokenError
from jwtauth.tokens import base64url, verifier
from jwtauth.tokens.jwks import KeySet
from tests.judging import NOW, URL, Judge, RecordingKeys, trusted

if TYPE_CHECKING:
    from collections.abc import Callable

Verdict = str
"""``accepted``, or the code of the refusal."""


@pytest.fixture
def judge_jws(monkeypatch: pytest.MonkeyPatch) -> Callable[[object, list[Any]], Verdict]:
    """A JWS and the JWKs to verify it with go in, what the verifier says comes out.

    It is the whole path of a token but for one thing: whatever the payload, it counts as claims
    that pass.
    """

    def good_claims(segment: bytes) -> dict[str, Any]:
        try:
            base64url.decode(segment)
        except ValueError:
            raise TokenError("malformed_token", "") from None
        return {"iss": URL, "exp": NOW + 1}

    monkeypatch.setattr(verifier, "parse_claims", good_claims)

    def verdict(jws: object, jwks: list[Any]) -> Verdict:
        judge = Judge(trusted(RecordingKeys(KeySet({"keys": jwks}))))
        try:
            judge.claims(jws)
        except TokenError as error:
            return error.code
        return "accepted"

    return verdict
