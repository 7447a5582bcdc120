"""Tokens that were good before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth.testing import SigningKey
from jwtauth.verification import get_verifier, key_source_of
from tests.faults import FaultyIssuer
from tests.keys.caching import wait_until
from tests.requesting import verdict

from .forgeries import (
    KEYS,
    PROTECTED,
)
from .siege import CODES, Siege

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.conftest import Hands


def _remembered(siege: Siege, **claims: Any) -> str:
    token = siege.issuer.token(**claims)
    for _ in range(2):
        siege.assert_granted(token)
    return token


def test_a_remembered_token_after_its_end(siege: Siege, monkeypatch: pytest.MonkeyPatch) -> None:
    token = _remembered(siege)

    monkeypatch.setattr(get_verifier(), "_clock", lambda: time.time() + 301)

    siege.assert_refused(token, "token_expired")


def test_a_remembered_token_after_its_key_left(
    siege: Siege, settings: Settings, clock: Hands
) -> None:
    with FaultyIssuer(KEYS, trusted=False) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url}
        token, fine = issuer.token(), issuer.token(algorithm="RS256")
        for _ in range(2):
            siege.assert_granted(token)
            siege.assert_granted(fine)
        issuer.keys[0] = SigningKey.generate()

        clock.advance(601)

        siege.assert_granted(fine)
        # On a busy machine, the request may not have waited for the end of the refresh.
        wait_until(lambda: key_source_of(issuer.url).status().state == "fresh")
        assert issuer.fetches == 2
        assert verdict(token) == "invalid_signature"
        siege.assert_granted(issuer.token())


def test_a_remembered_token_after_a_change_of_settings(siege: Siege, settings: Settings) -> None:
    token = _remembered(siege, account="theirs")
    before = settings.JWTAUTH

    for change, code in (
        ({"ISSUER": "https://other.test"}, "untrusted_issuer"),
        ({"AUDIENCE": "api"}, "missing_claim"),
        ({"ALGORITHMS": ["RS256"]}, "algorithm_not_allowed"),
        ({"REQUIRED_CLAIMS": {"account": "ours"}}, "invalid_claim"),
        ({"TOKEN_TYPES": ["at+jwt"]}, "invalid_type"),
        ({"MAX_TOKEN_LENGTH": 64}, "token_too_large"),
        ({"USER_RESOLVER": "tests.jwtauth_settings.reading.resolve"}, "user_refused"),
    ):
        settings.JWTAUTH = {**before, **change}
        siege.assert_refused(token, code, hidden=["theirs", "ours"])
    settings.JWTAUTH = before
    siege.assert_granted(token)


def _audience_of(request: Any) -> str | None:
    audience: str | None = request.GET.get("for")
    return audience


def test_a_remembered_token_for_another_audience(siege: Siege, settings: Settings) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, "AUDIENCE": _audience_of}
    token = siege.issuer.token(aud=["one", "two"])

    for _ in range(2):
        siege.assert_granted(token, f"{PROTECTED}?for=one")
        siege.assert_granted(token, f"{PROTECTED}?for=two")
        siege.assert_refused(token, "invalid_audience", path=f"{PROTECTED}?for=three")
        siege.assert_refused(token, "invalid_audience", path=PROTECTED)


def test_tokens_that_differ_in_one_character_are_never_mixed_up(siege: Siege) -> None:
    token = _remembered(siege, sub="victim")

    for place in range(0, len(token), 7):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        siege.assert_refused(changed, *CODES)
    for changed in (token[:-1], token[1:], token + "A", f"{token}=", token.swapcase()):
        siege.assert_refused(changed, *CODES)
    siege.assert_granted(token)


def test_tokens_of_many_users_are_never_mixed_up(siege: Siege, settings: Settings) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, "TOKEN_CACHE_SIZE": 3}
    tokens = {str(number): siege.issuer.token(sub=str(number)) for number in range(7)}

    for sub in "0123456654321001020304050602142":
        assert siege.assert_granted(tokens[sub])["user"]["sub"] == sub


@pytest.mark.urls("tests.attacks.views")
def test_a_view_that_changes_the_claims(siege: Siege) -> None:
    claims = {"roles": ["reader"], "nested": {"deep": {"er": "still"}}, "scope": "read"}
    token = siege.issuer.token(claims)

    for _ in range(3):
        assert siege.assert_granted(token, "/vandal/")["user"]["roles"] == ["reader", "admin"]
        user = siege.assert_granted(token)["user"]
        assert claims.items() <= user.items()
        assert (user["iss"], user["sub"]) == (siege.issuer.url, "user")
